"""The decisions, as pure functions of values: no sockets, files, clocks, threads or logging."""
