"""One suite a port: the same cases for every implementation, the ones for tests and the real ones."""
