"""Passwords that an IMAP server knows: a login is tried there, and closed at once."""

import contextlib
import imaplib
from collections.abc import Iterator

from autocreate.errors import Temporary
from autocreate.mailstore.ports import Tls, allowed_ports
from autocreate.mailstore.refusals import LoginRefusal, login_refusal
from autocreate.mailstore.wire import Dialer, Wire
from autocreate.passwords import NO, OK
from autocreate.passwords.request import SaslauthdRequest
from autocreate.resilience.exception_map import ExceptionMap, map_exceptions


class Imap:
    """An IMAP server that offers SASL PLAIN.

    Args:
        port, tls: see `autocreate.mailstore.ports`.
        ca_file: the certificates to trust, or None for the system's.
        timeout: seconds for the connection, for the greeting, and for the login.
    """

    def __init__(
        self, host: str, port: int | None, tls: Tls, ca_file: str | None, timeout: float
    ) -> None:
        self._host = host
        self.timeout = timeout
        self._dialer = Dialer(host, allowed_ports(tls, port), ca_file, timeout)

    def check(self, attempt: SaslauthdRequest) -> bytes:
        """See `PasswordChecker.check`."""
        if not attempt.password:
            return NO + b" empty password"
        with map_exceptions(_ERRORS, self), self._connected() as wire:
            wire.allow(self.timeout)
            return _try(wire, attempt)

    def __str__(self) -> str:
        return f"IMAP server {self._host}:{self._dialer.port}"

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Wire]:
        wire = self._dialer.dial()
        try:
            yield wire
        finally:
            with contextlib.suppress(Exception):
                wire.allow(1.0)
                wire.logout()
            wire.shutdown()


_ERRORS: ExceptionMap[Imap] = {
    TimeoutError: lambda server, _: Temporary(
        f"{server} did not answer within {server.timeout:g} s"
    ),
    OSError: lambda server, error: Temporary(f"{server} cannot be asked: {error}"),
    imaplib.IMAP4.error: lambda server, error: Temporary(f"{server} cannot be asked: {error}"),
    # imaplib stumbles over nonsense with whatever comes to hand.
    Exception: lambda server, error: Temporary(f"{server} answered nonsense: {error!r}"),
}


def _is_no(said: str) -> bool:
    """Did the server look at the password, and call it wrong?"""
    return login_refusal(said) is LoginRefusal.PASSWORD


def _try(wire: Wire, attempt: SaslauthdRequest) -> bytes:
    if "AUTH=PLAIN" not in wire.capabilities and wire.state == "NONAUTH":
        raise imaplib.IMAP4.error("it does not offer AUTHENTICATE PLAIN")
    try:
        wire.log_in(b"\0" + attempt.user.encode() + b"\0" + bytes(attempt.password))
    except Exception as error:
        if type(error) is imaplib.IMAP4.error and _is_no(str(error)):
            return NO
        raise
    return OK
