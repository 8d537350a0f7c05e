"""lmtpd, tried as we use it, but for a recipient: to ask about one could make a mailbox."""

import contextlib
from collections.abc import Iterator, Sequence

from autocreate.doctor import probe_sockets
from autocreate.doctor.findings import Finding, critical
from autocreate.doctor.permissions import UnixUser
from autocreate.doctor.probe_sockets import Endpoint
from autocreate.errors import AutocreateError
from autocreate.lmtp.client import Session

_UNASKED = "mail is accepted without lmtpd's word, as without [lmtp]"


def examine(address: str, timeout: float, callers: Sequence[UnixUser]) -> Iterator[Finding]:
    """Everything found.

    Args:
        address: "unix:/path" or "inet:HOST:PORT".
        callers: the users who serve, and are to reach it.
    """
    try:
        with contextlib.closing(Session(address, timeout)) as session:
            session.begin()
    except AutocreateError as error:
        yield critical(
            f"lmtp.address: {error}",
            _UNASKED,
            "autocreate.toml: lmtp.address as the MTA's transport has it; over TCP, cyrus.conf: lmtpd -a",
        )
        return
    door = Endpoint(
        "lmtp.address",
        address,
        tuple(callers),
        _UNASKED,
        remedy="make that user a member of its group (on Debian: adduser autocreate mail), and restart "
        "autocreate-milter",
        unit="cyrus-imapd",
    )
    yield from probe_sockets.examine(door)
