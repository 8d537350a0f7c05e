"""Connections to an IMAP server: secured before a password can be sent, every answer limited in time and bytes.

A socket's timeout counts anew with every piece that arrives, so a server that drips, or that never
stops talking, would hold a caller for ever and fill the memory. How imaplib reads from its socket
differs between versions of Python; so `Wire` reads by itself, and imaplib only parses.
"""

import contextlib
import imaplib
import logging
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any

from autocreate.mailstore.ports import ImapPort

log = logging.getLogger(__name__)

# Bytes of one answer. The longest is LSUB's, some 50 bytes for each subscription of a user.
_MOST = 4 << 20

# Bytes asked for at once: a record of TLS.
_PIECE = 16 << 10


class NoStarttls(OSError):
    """A server offers no STARTTLS.

    Args:
        greeting: what it says it is.
    """

    def __init__(self, greeting: str) -> None:
        super().__init__("STARTTLS is not offered")
        self.greeting = greeting


class AllPortsFailed(OSError):
    """Every port of a server failed, each with its own error."""

    def __init__(self, failures: Sequence[tuple[ImapPort, OSError]]) -> None:
        super().__init__("; ".join(f"{port}: {error}" for port, error in failures))
        self.errors = tuple(error for _, error in failures)


class Dialer:
    """Connects to one IMAP server. Used from several threads at once.

    The port that worked last is tried first. Another is tried only if nobody answers there or
    the server there offers no STARTTLS. A certificate that is not trusted ends the attempt: another
    port would not make it better.

    Args:
        ports: where it may be reached, the first choice first.
        ca_file: the certificates to trust, or None for the system's.
        timeout: seconds for all connections of an attempt together, for TLS, and for the greeting.
    """

    def __init__(
        self, host: str, ports: Sequence[ImapPort], ca_file: str | None, timeout: float
    ) -> None:
        self._host = host
        self._ports = tuple(ports)
        self._ca_file = ca_file
        self._timeout = timeout
        self._last: ImapPort | None = None

    @property
    def port(self) -> int:
        """The number of the port that worked last, or of the first choice."""
        return (self._last or self._ports[0]).number

    def dial(self) -> "Wire":
        """A connection that is secured.

        Raises:
            AllPortsFailed: each of several ports failed.
            OSError: the only port failed; or TLS did (`ssl.SSLError`), or the time is up (`TimeoutError`).
            imaplib.IMAP4.error: the server talks no good IMAP, or does not want to talk.
            ValueError: it talks too much.
        """
        failures: list[tuple[ImapPort, OSError]] = []
        for port in sorted(self._ports, key=lambda port: port != self._last):
            try:
                connection = self._connect(port.number)
            except OSError as error:
                failures.append((port, error))
                continue
            try:
                wire = self._secure(connection, port)
            except NoStarttls as error:
                failures.append((port, error))
                continue
            self._remember(port, failures)
            return wire
        raise failures[0][1] if len(failures) == 1 else AllPortsFailed(failures)

    def _connect(self, port: int) -> socket.socket:
        share = self._timeout / len(self._ports)
        connection = socket.create_connection((self._host, port), share)
        connection.settimeout(self._timeout)
        # imaplib sends a literal in two pieces; without this each costs 40 ms of delayed ACK.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _secure(self, connection: socket.socket, port: ImapPort) -> "Wire":
        with contextlib.ExitStack() as undo:
            undo.callback(connection.close)
            if port.tls == "implicit":
                context = tls_context(self._ca_file)
                connection = context.wrap_socket(connection, server_hostname=self._host)
                undo.callback(connection.close)
            wire = Wire(connection, self._host, self._timeout)
            undo.callback(wire.shutdown)
            if port.tls == "starttls":
                wire.secure(tls_context(self._ca_file), self._timeout)
            undo.pop_all()
        return wire

    def _remember(self, port: ImapPort, failures: Sequence[tuple[ImapPort, OSError]]) -> None:
        if port == self._last:
            return
        if len(self._ports) > 1:
            level, now = (logging.INFO, "") if self._last is None else (logging.WARNING, "now ")
            failed = "".join(f"; {other}: {error}" for other, error in failures)
            log.log(level, "IMAP server %s: %s%s%s", self._host, now, port, failed)
        self._last = port


class Wire(imaplib.IMAP4):
    """A connection to an IMAP server that has said its greeting.

    Args:
        connection: to the server.
        host: whose certificate is expected.
        timeout: seconds for the greeting.
    """

    sock: socket.socket

    def __init__(self, connection: socket.socket, host: str, timeout: float) -> None:
        self._connection = connection
        self._unread = bytearray()
        self._budget = _Budget(timeout)
        super().__init__(host, timeout=timeout)

    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:
        """Take over the connection. imaplib calls this, as it calls the next three."""
        self.host = host
        self.port = port
        self.sock = self._connection

    def read(self, size: int) -> bytes:
        """So many bytes, fewer if the connection ends."""
        if size > _MOST:  # a literal's announced length
            raise ValueError(f"a literal of {size} bytes")
        while len(self._unread) < size and self._receive():
            pass
        return self._take(size)

    def readline(self) -> bytes:
        """A line with its end, less if the connection ends."""
        searched = 0
        while (end := self._unread.find(b"\n", searched)) < 0:
            searched = len(self._unread)
            if not self._receive():
                return self._take(searched)
        return self._take(end + 1)

    def shutdown(self) -> None:
        """Drop the connection without a word."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def allow(self, seconds: float) -> None:
        """Begin to count the time and the bytes of an answer."""
        self._budget = _Budget(seconds)
        self.sock.settimeout(seconds)

    def secure(self, context: ssl.SSLContext, timeout: float) -> None:
        """STARTTLS (RFC 9051, 6.2.1).

        Args:
            timeout: seconds for all of it.

        Raises:
            NoStarttls: the server does not offer it, or does not do it.
        """
        self.allow(timeout)
        if "STARTTLS" not in self.capabilities:
            raise NoStarttls(self._greeting())
        try:
            status, _ = self.xatom("STARTTLS")
        except self.abort:
            raise
        except self.error as refusal:  # BAD, or a greeting that forbids it (PREAUTH)
            raise NoStarttls(self._greeting()) from refusal
        if status != "OK":
            raise NoStarttls(self._greeting())
        if self._unread:  # it would pass for what the server says within TLS
            raise self.abort("the server spoke before TLS was negotiated: a third party?")
        self.sock.settimeout(self._budget.seconds_left())
        self.sock = context.wrap_socket(self.sock, server_hostname=self.host)
        _, told = self.capability()  # what it said before counts no more
        self.capabilities = tuple(_text(told[-1]).upper().split())

    def _greeting(self) -> str:
        return _text(self.welcome)

    def _receive(self) -> bool:
        """Wait for more to read. False if the connection has ended."""
        self.sock.settimeout(self._budget.seconds_left())
        received = self.sock.recv(_PIECE)
        self._budget.spend(len(received))
        self._unread += received
        return bool(received)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._unread[:size])
        del self._unread[:size]
        return taken


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """TLS 1.2 or later, the certificate and its host name verified.

    Args:
        ca_file: the certificates to trust, or None for the system's.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Budget:
    """What is left of the time and the bytes for an answer."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._bytes_left = _MOST

    def seconds_left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        return left

    def spend(self, received: int) -> None:
        self._bytes_left -= received
        if self._bytes_left < 0:
            raise ValueError(f"an answer of more than {_MOST} bytes")


def _text(said: Any) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said or "")
