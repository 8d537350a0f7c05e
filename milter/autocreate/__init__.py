"""autocreate-milter: verify the recipient, create its mailbox, then accept the mail."""
