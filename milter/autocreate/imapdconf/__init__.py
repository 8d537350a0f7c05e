"""imapd.conf as Cyrus reads it, and what this program takes from it. No input or output."""
