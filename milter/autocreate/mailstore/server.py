"""Where a Cyrus is, how to log in to it, and what a failed connection means: for IMAP and ManageSieve."""

import ssl
from dataclasses import dataclass, field
from typing import NamedTuple

from autocreate.errors import Unreachable
from autocreate.mailstore.ports import Tls, allowed_ports
from autocreate.mailstore.wire import Dialer
from autocreate.resilience.answer_limit import AnswerTooLong
from autocreate.resilience.exception_map import ExceptionMap


@dataclass(frozen=True, slots=True)
class Server:
    """Where Cyrus is, and how to log in to it as an administrator who may act for users.

    Args:
        port, tls: see `autocreate.mailstore.ports`.
        ca_file: the certificates to trust, or None for the system's.
        timeout: seconds for the connection and for each answer.
    """

    host: str
    port: int
    tls: Tls
    admin: str
    password: str
    ca_file: str | None = None
    timeout: float = 5.0
    dialer: Dialer = field(init=False, compare=False)

    def __post_init__(self) -> None:
        allowed = allowed_ports(self.tls, self.port)
        dialer = Dialer(self.host, allowed, self.ca_file, self.timeout)
        object.__setattr__(self, "dialer", dialer)

    def __str__(self) -> str:
        return f"Cyrus at {self.host}:{self.dialer.port}"

    def __repr__(self) -> str:
        # The generated one would show the password in every traceback that prints its locals.
        return f"Server({self})"


class Exchange(NamedTuple):
    """What was being done when something went wrong."""

    server: Server
    doing: str
    is_logged_in: bool = False


CONNECTION_ERRORS: ExceptionMap[Exchange] = {
    ssl.SSLCertVerificationError: lambda at, error: Unreachable(
        f"{at.server} has a certificate that is not trusted "
        f"({error.verify_message}): see [cyrus] ca_file and host"
    ),
    AnswerTooLong: lambda at, error: Unreachable(
        f"{at.server} answered nonsense ({at.doing}): {error}"
    ),
    EOFError: lambda at, _: Unreachable(f"{at.server} dropped the connection"),
    OSError: lambda at, error: Unreachable(f"{at.server} cannot be reached ({at.doing}): {error}"),
}
"""What the errors of a connection mean, whatever is spoken over it."""
