"""Sieve scripts: as files on the Cyrus host, or over ManageSieve."""
