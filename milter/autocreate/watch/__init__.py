"""`autocreate watch`: mailboxes for accounts that have appeared, before mail or a login asks for them."""
