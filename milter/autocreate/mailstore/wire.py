"""imaplib's connection with an end to its patience: for an answer as a whole, in time and in bytes.

A socket's timeout counts anew with every piece that arrives, so a server that drips, or that never
stops talking, would hold a caller for ever and fill the memory.
"""

import imaplib
import socket
import ssl
import time
from typing import Any

# Bytes of one answer. The longest is LSUB's, some 50 bytes for each subscription of a user.
_MOST = 4 << 20


class Wire(imaplib.IMAP4):
    """A connection to an IMAP server.

    Args:
        timeout: seconds for the connection, and again for the greeting.
        context: for TLS from the first byte; None for none, or for STARTTLS later. Contexts are made
            by `tls_context`.
    """

    def __init__(
        self, host: str, port: int, timeout: float, context: ssl.SSLContext | None = None
    ) -> None:
        self._context = context
        super().__init__(host, port, timeout)

    def allow(self, seconds: float) -> None:
        """Begin to count the time and the bytes of an answer."""
        assert isinstance(self.sock, _Plain | _Tls)
        self.sock.patience = _Patience(seconds)
        self.sock.settimeout(seconds)

    def read(self, size: int) -> bytes:
        if size > _MOST:  # a literal's announced length; room for it would be made at once
            raise ValueError(f"a literal of {size} bytes")
        return super().read(size)

    def readline(self) -> bytes:
        try:
            return super().readline()
        except self.error as error:  # a line too long; it must not pass for the server's no
            raise ValueError(str(error)) from error

    def _create_socket(self, timeout: float | None) -> socket.socket:
        connected = socket.create_connection((self.host, self.port), timeout)
        sock: socket.socket = _Plain(fileno=connected.detach())
        sock.settimeout(timeout)
        # imaplib sends a literal in two pieces; without this each costs 40 ms of delayed ACK.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is None:
            return sock
        try:
            return self._context.wrap_socket(sock, server_hostname=self.host)
        except BaseException:
            sock.close()
            raise


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """TLS 1.2 or later, the certificate and its host name verified.

    Args:
        ca_file: the certificates to trust, or None for the system's.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _Tls
    return context


class _Patience:
    """What is left of the time and the bytes for an answer."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._bytes_left = _MOST

    def seconds_left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        return left

    def took(self, received: int) -> int:
        self._bytes_left -= received
        if self._bytes_left < 0:
            raise ValueError(f"an answer of more than {_MOST} bytes")
        return received


class _Plain(socket.socket):
    patience: _Patience | None = None

    def recv_into(self, *arguments: Any) -> int:
        patience = _prepare(self)
        return patience.took(super().recv_into(*arguments))


class _Tls(ssl.SSLSocket):
    patience: _Patience | None = None

    def recv_into(self, *arguments: Any) -> int:
        patience = _prepare(self)
        return patience.took(super().recv_into(*arguments))


def _prepare(sock: _Plain | _Tls) -> _Patience:
    if sock.patience is None:  # just made; with STARTTLS, in the middle of an exchange
        sock.patience = _Patience(sock.gettimeout() or 0.0)
    sock.settimeout(sock.patience.seconds_left())
    return sock.patience
