"""Tries lmtpd as the milter uses it, but without a recipient: to ask about one could create a mailbox."""

import contextlib
from collections.abc import Iterator, Sequence

from autocreate.doctor import probe_sockets
from autocreate.doctor.endpoints import LMTPD_NOT_ASKED, lmtpd_endpoint
from autocreate.doctor.findings import Finding, advice, critical
from autocreate.doctor.permissions import UnixUser
from autocreate.errors import AutocreateError
from autocreate.lmtp.client import Session


def examine(
    address: str, timeout: float, callers: Sequence[UnixUser], is_utf8: bool = False
) -> Iterator[Finding]:
    """Check lmtpd.

    Args:
        address: "unix:/path" or "inet:HOST:PORT".
        timeout: seconds for the connection and for each answer.
        callers: the users that the milter runs as.
        is_utf8: the MTA takes messages that need SMTPUTF8 (RFC 6531).
    """
    try:
        with contextlib.closing(Session(address, timeout)) as session:
            session.begin()
            offers = session.server.offers
    except AutocreateError as error:
        yield critical(
            f"lmtp.address: {error}",
            LMTPD_NOT_ASKED,
            "autocreate.toml: lmtp.address as in the MTA's transport; over TCP, cyrus.conf: lmtpd -a",
        )
        return
    if is_utf8 and "SMTPUTF8" not in offers:
        yield advice(
            f"main.cf: smtputf8_enable is yes, and lmtpd at {address} does not offer SMTPUTF8",
            "a message with a header beyond ASCII, whose client asked for SMTPUTF8, is accepted and "
            "bounces",
            "main.cf: smtputf8_enable = no, until lmtpd is of Cyrus 3.12 or later",
        )
    yield from probe_sockets.examine(lmtpd_endpoint(address, tuple(callers)))
