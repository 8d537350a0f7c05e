"""A Cyrus Murder as the mail store: several backends, a frontend, and the MUPDATE master that knows all names."""
