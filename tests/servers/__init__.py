"""Real mail servers for the tests, each a context manager: private, on loopback, gone afterwards without a trace."""
