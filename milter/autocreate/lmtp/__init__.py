"""[lmtp]: Cyrus's lmtpd is asked what it will say at delivery, before the MTA accepts."""
