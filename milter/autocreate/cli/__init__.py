"""The command line: it parses arguments and renders results, and decides nothing."""
