"""Passwords that an IMAP server knows: a login there is tried, and at once given up again."""

import contextlib
import imaplib
import re
import socket
import ssl
from collections.abc import Iterator

from autocreate.core.saslauthd import Attempt
from autocreate.errors import Temporary
from autocreate.passwords import NO, OK

# A NO that is no judgement of the password, by its response code (RFC 5530); and imaplib's words for
# BAD, which is none either.
_CANNOT_TELL = re.compile(
    r"\[(UNAVAILABLE|SERVERBUG|INUSE|CONTACTADMIN)\]|^AUTHENTICATE command error", re.IGNORECASE
)


class Imap:
    """An IMAP server that offers SASL PLAIN.

    Args:
        tls: "none", "starttls" or "implicit".
        ca_file: the certificates to trust, or None for the system's.
        timeout: seconds for the connection and for each answer.
    """

    def __init__(self, host: str, port: int, tls: str, ca_file: str | None, timeout: float) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._timeout = timeout
        self._context = ssl.create_default_context(cafile=ca_file)

    def check(self, attempt: Attempt) -> bytes:
        """See `PasswordChecker.check`."""
        name = f"IMAP server {self._host}:{self._port}"
        if not attempt.password:
            return NO + b" empty password"
        try:
            with self._connected() as session:
                return _try(session, attempt)
        except TimeoutError as error:
            raise Temporary(f"{name} did not answer within {self._timeout:g} s") from error
        except (OSError, imaplib.IMAP4.error) as error:
            raise Temporary(f"{name} cannot be asked: {error}") from error

    @contextlib.contextmanager
    def _connected(self) -> Iterator[imaplib.IMAP4]:
        if self._tls == "implicit":
            session: imaplib.IMAP4 = imaplib.IMAP4_SSL(
                self._host, self._port, ssl_context=self._context, timeout=self._timeout
            )
        else:
            session = imaplib.IMAP4(self._host, self._port, self._timeout)
        try:
            # imaplib sends the password in two pieces; without this the second waits 40 ms.
            session.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls == "starttls":
                session.starttls(self._context)
            yield session
        finally:
            with contextlib.suppress(OSError, imaplib.IMAP4.error):
                session.logout()


def _try(session: imaplib.IMAP4, attempt: Attempt) -> bytes:
    if "AUTH=PLAIN" not in session.capabilities:
        raise imaplib.IMAP4.error("it does not offer AUTHENTICATE PLAIN")
    # Said once, however often the server asks.
    words = iter([b"\0" + attempt.user.encode() + b"\0" + bytes(attempt.password)])
    try:
        session.authenticate("PLAIN", lambda _challenge: next(words, None))
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as refusal:
        if _CANNOT_TELL.search(str(refusal)):
            raise
        return NO
    return OK
