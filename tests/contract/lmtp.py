"""A delivery as the MTA makes it."""

from __future__ import annotations

import smtplib

from tests.servers.cyrus import Cyrus


def deliver(server: Cyrus, user: str, message: str) -> None:
    """Hand a message for a user to lmtpd, which knows no quoted local parts."""
    with smtplib.LMTP(server.host, server.lmtp_port) as lmtp:
        lmtp.ehlo_or_helo_if_needed()
        assert lmtp.docmd("MAIL", "FROM:<>")[0] == 250
        code, text = lmtp.docmd("RCPT", f"TO:<{user}>")
        assert code == 250, text
        assert lmtp.data(message)[0] == 250
