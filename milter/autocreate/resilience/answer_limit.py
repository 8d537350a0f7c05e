"""One limit of time and bytes for each answer, for every protocol whose answers this program reads.

A socket's timeout starts anew with every piece that arrives. A server that sends a byte now and then, or never
stops sending, would hold a caller forever and fill the memory. So each answer has an `AnswerLimit`, and
`LimitedStream` keeps it while it reads from a socket. What a server may send is never known before its answer is
complete: both limits also count for what it sends before TLS, before a login, and in the middle of a line.
"""

import contextlib
import fcntl
import math
import socket
import ssl
import struct
import termios
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

MOST = 4 << 20
"""Bytes of an answer. The longest that is known is IMAP's LSUB: 50 bytes for each subscription of a user."""

# Bytes asked for at once: a record of TLS.
_PIECE = 16 << 10
# Seconds that do not matter to who waits for an answer.
_MOMENT = 0.05

_ROW = 64  # bytes that a row of a table takes by itself, about


class AnswerTooLong(OSError):
    """An answer has more bytes than any that makes sense. The connection is of no use any more."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the answer has more than {most} bytes")


class AnswerLimit:
    """What is left of the time and the bytes of an answer.

    Args:
        seconds: until the answer must be complete.
        most: its greatest size in bytes.
    """

    def __init__(self, seconds: float, most: int = MOST) -> None:
        self._until = time.monotonic() + seconds
        self._most = most
        self._bytes_left = most

    def seconds_left(self) -> float:
        """More than 0.

        Raises:
            TimeoutError: the time is up.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        return left

    def spend(self, size: int) -> None:
        """Count bytes that were received, or that are announced.

        Raises:
            AnswerTooLong: they are too many.
        """
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise AnswerTooLong(self._most)


def limited_rows(rows: Iterable[Sequence[Any]]) -> Iterator[Any]:
    """The rows of one answer, each when it is asked for.

    Raises:
        AnswerTooLong: their texts have more than `MOST` bytes; characters count as one.
    """
    limit = AnswerLimit(math.inf)
    for row in rows:
        limit.spend(_ROW + sum(len(it) for it in row if isinstance(it, (str, bytes))))
        yield row


class ReceivedLimit:
    """The limit of an answer that a library reads by itself, by what the kernel received (tcp(7), TCP_INFO).

    A Unix socket has no such count. There the bytes count that the library is known to have read: see
    `reads_all` and `handed_over`.

    Args:
        connection: the library's.
        seconds, most: as for `AnswerLimit`.
        reads_all: after each look the library reads all that waits. So at a Unix socket what waits
            is counted at each look. What arrives while the library reads is not.
    """

    def __init__(
        self,
        connection: socket.socket,
        seconds: float,
        most: int = MOST,
        *,
        reads_all: bool = False,
    ) -> None:
        self._connection = connection
        self._limit = AnswerLimit(seconds, most)
        self._is_unix = connection.family == socket.AF_UNIX
        self._reads_all = reads_all
        self._received = _received(connection)

    def seconds_left(self) -> float:
        """As `AnswerLimit.seconds_left`, after the bytes so far were counted.

        Raises:
            AnswerTooLong: they are too many.
        """
        if self._is_unix:
            self._limit.spend(_waiting(self._connection) if self._reads_all else 0)
        else:
            received = _received(self._connection)
            self._limit.spend(received - self._received)
            self._received = received
        return self._limit.seconds_left()

    def handed_over(self, size: int) -> None:
        """Count bytes that the library hands over, where the kernel does not count them.

        Raises:
            AnswerTooLong: they are too many.
        """
        if self._is_unix:
            self._limit.spend(size)


class LimitedStream:
    """A connection that is read in lines or in pieces of a known size, each answer within its limit.

    Args:
        connection: to the server.
        seconds: for the first answer.
        most: bytes of each answer.

    Raises, from every method:
        TimeoutError: the time is up.
        AnswerTooLong: the answer has more bytes than it may have.
        OSError: the connection failed.
    """

    acknowledges_at_once = False
    """Do not delay acknowledgements (tcp(7), TCP_QUICKACK), where several small answers follow each other."""

    def __init__(self, connection: socket.socket, seconds: float, most: int = MOST) -> None:
        self.socket = connection
        self._most = most
        self._unread = bytearray()
        self.allow(seconds)

    def allow(self, seconds: float) -> None:
        """Start to count the time and the bytes of an answer."""
        self._limit = AnswerLimit(seconds, self._most)

    def send(self, data: bytes | memoryview) -> None:
        """Send all of `data`, in what is left of the time."""
        self._limit_time()
        self.socket.sendall(data)

    def read(self, size: int) -> bytes:
        """So many bytes; fewer if the connection ends."""
        if size > self._most:  # a server may announce any length
            raise AnswerTooLong(self._most)
        while len(self._unread) < size and self._receive():
            pass
        return self._take(size)

    def readline(self) -> bytes:
        """A line with its end; without one if the connection ends."""
        searched = 0
        while (end := self._unread.find(b"\n", searched)) < 0:
            searched = len(self._unread)
            if not self._receive():
                return self._take(searched)
        return self._take(end + 1)

    def line(self) -> bytes:
        """A line without its end.

        Raises:
            EOFError: the server dropped the connection before the end of the line.
        """
        line = self.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return line.removesuffix(b"\n").removesuffix(b"\r")

    def exactly(self, size: int) -> bytes:
        """So many bytes.

        Raises:
            EOFError: the server dropped the connection before that.
        """
        data = self.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def is_quiet(self) -> bool:
        """Is there nothing to read? If there is before a command, it would be taken for its answer."""
        if self._unread:
            return False
        if isinstance(self.socket, ssl.SSLSocket):  # what waits may be a ticket of TLS
            return not self.socket.pending()
        return not _waiting(self.socket)

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Start TLS.

        Args:
            host: whose certificate is expected.

        Raises:
            ConnectionError: bytes came before TLS; they would be taken for what the server says within TLS.
        """
        if self._unread:
            raise ConnectionError("the server spoke before TLS was negotiated: a third party?")
        self.socket.settimeout(self._limit.seconds_left())
        self.socket = context.wrap_socket(self.socket, server_hostname=host)

    def close(self) -> None:
        """Drop the connection. Nothing is sent."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def _receive(self) -> bool:
        """Wait for more to read. False if the connection has ended."""
        self._limit_time()
        if self.acknowledges_at_once:
            # The kernel takes it back by itself, so it is set again before each read.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        received = self.socket.recv(_PIECE)
        self._limit.spend(len(received))
        self._unread += received
        return bool(received)

    def _limit_time(self) -> None:
        """Let the socket wait no longer than what is left of the time, or a moment more.

        Each change of its limit is a system call, and most answers come at once, in one piece.
        """
        left = self._limit.seconds_left()
        now = self.socket.gettimeout()
        if now is None or not left <= now <= left + _MOMENT:
            self.socket.settimeout(left)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._unread[:size])
        del self._unread[:size]
        return taken


def _received(connection: socket.socket) -> int:
    """Bytes received so far: `tcpi_bytes_received` of linux/tcp.h."""
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)
    except OSError:
        return 0
    return int(struct.unpack_from("@Q", info, 128)[0]) if len(info) >= 136 else 0


def _waiting(connection: socket.socket) -> int:
    """Bytes that wait to be read: `SIOCINQ` of unix(7)."""
    counted = fcntl.ioctl(connection, termios.FIONREAD, bytes(4))
    return int(struct.unpack("@i", counted)[0])
