"""What account sources, aliases and domains share: SQL, LDAP, and files that others write."""
