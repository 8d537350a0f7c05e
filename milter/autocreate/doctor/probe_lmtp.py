"""Tries lmtpd as the milter uses it, but without a recipient: to ask about one could create a mailbox."""

import contextlib
from collections.abc import Iterator, Sequence

from autocreate.doctor import probe_sockets
from autocreate.doctor.endpoints import LMTPD_NOT_ASKED, lmtpd_endpoint
from autocreate.doctor.findings import Finding, critical
from autocreate.doctor.permissions import UnixUser
from autocreate.errors import AutocreateError
from autocreate.lmtp.client import Session


def examine(address: str, timeout: float, callers: Sequence[UnixUser]) -> Iterator[Finding]:
    """Check lmtpd.

    Args:
        address: "unix:/path" or "inet:HOST:PORT".
        timeout: seconds for the connection and for each answer.
        callers: the users that the milter runs as.
    """
    try:
        with contextlib.closing(Session(address, timeout)) as session:
            session.begin()
    except AutocreateError as error:
        yield critical(
            f"lmtp.address: {error}",
            LMTPD_NOT_ASKED,
            "autocreate.toml: lmtp.address as in the MTA's transport; over TCP, cyrus.conf: lmtpd -a",
        )
        return
    yield from probe_sockets.examine(lmtpd_endpoint(address, tuple(callers)))
