"""Passwords that an IMAP server knows: a login there is tried, and at once given up again."""

import contextlib
import imaplib
from collections.abc import Iterator

from autocreate.errors import Temporary
from autocreate.mailstore.refusals import cannot_check
from autocreate.mailstore.ways import Tls, ways
from autocreate.mailstore.wire import Dialer, Wire
from autocreate.passwords import NO, OK
from autocreate.passwords.request import SaslauthdRequest


class Imap:
    """An IMAP server that offers SASL PLAIN.

    Args:
        port, tls: see `autocreate.mailstore.ways`.
        ca_file: the certificates to trust, or None for the system's.
        timeout: seconds for the connection, for the greeting, and for the login.
    """

    def __init__(
        self, host: str, port: int | None, tls: Tls, ca_file: str | None, timeout: float
    ) -> None:
        self._host = host
        self._timeout = timeout
        self._dialer = Dialer(host, ways(tls, port), ca_file, timeout)

    def check(self, attempt: SaslauthdRequest) -> bytes:
        """See `PasswordChecker.check`."""
        if not attempt.password:
            return NO + b" empty password"
        try:
            with self._connected() as wire:
                wire.allow(self._timeout)
                return _try(wire, attempt)
        except TimeoutError as error:
            raise Temporary(f"{self} did not answer within {self._timeout:g} s") from error
        except (OSError, imaplib.IMAP4.error) as error:
            raise Temporary(f"{self} cannot be asked: {error}") from error
        except Exception as error:
            # imaplib stumbles over nonsense with whatever comes to hand.
            raise Temporary(f"{self} answered nonsense: {error!r}") from error

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


def _try(wire: Wire, attempt: SaslauthdRequest) -> bytes:
    if wire.state != "NONAUTH":
        raise imaplib.IMAP4.error("it lets everybody in (PREAUTH)")
    if "AUTH=PLAIN" not in wire.capabilities:
        raise imaplib.IMAP4.error("it does not offer AUTHENTICATE PLAIN")
    # Said once, however often the server asks.
    words = iter([b"\0" + attempt.user.encode() + b"\0" + bytes(attempt.password)])
    try:
        wire.authenticate("PLAIN", lambda _challenge: next(words, None))
    except Exception as error:
        if wire.state == "AUTH":
            return OK  # imaplib of Python 3.14 asks for the capabilities next, and that failed
        if type(error) is imaplib.IMAP4.error and not cannot_check(str(error)):
            return NO
        raise
    return OK
