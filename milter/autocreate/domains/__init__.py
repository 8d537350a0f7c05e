"""Which domains are hosted here."""
