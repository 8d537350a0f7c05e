"""What account sources and tables share: SQL, LDAP, and files that other programs write."""
