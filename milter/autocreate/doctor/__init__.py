"""`autocreate doctor`: checks without I/O of the MTA, Cyrus and this program, and probes that fetch what is checked."""
