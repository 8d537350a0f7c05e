"""Passwords that saslauthd(8) knows: the request is passed on as it came, and so is the answer."""

import socket
import time
from pathlib import Path

from autocreate.errors import Temporary
from autocreate.passwords import NO, OK
from autocreate.passwords.request import SaslauthdRequest
from autocreate.resilience import socket_timeout


class Saslauthd:
    """A saslauthd.

    Args:
        path: its socket, which saslauthd calls `mux`.
        timeout: seconds for its answer.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path
        self._timeout = timeout

    def check(self, attempt: SaslauthdRequest) -> bytes:
        """See `PasswordChecker.check`."""
        until = time.monotonic() + self._timeout
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                self._connect(connection)
                connection.settimeout(max(0.001, until - time.monotonic()))
                connection.sendall(attempt.raw)
                length = int.from_bytes(_receive(connection, 2, until), "big")
                answer = _receive(connection, length, until)
        except (TimeoutError, BlockingIOError) as error:
            raise Temporary(
                f"saslauthd at {self._path} did not answer within {self._timeout:g} s"
            ) from error
        except OSError as error:
            raise Temporary(
                f"saslauthd at {self._path} cannot be asked: {error.strerror or error}"
            ) from error
        if not answer.startswith((OK, NO)):
            raise Temporary(f"saslauthd at {self._path} answered nonsense: {answer[:40]!r}")
        return answer

    def _connect(self, connection: socket.socket) -> None:
        """Connect, and wait for that in line if saslauthd is busy.

        Its queue is short (32 in saslauthd 2.1.28). To a socket with Python's own time limit, which is
        a non-blocking one, the kernel says of a full queue at once that it is full.
        """
        socket_timeout.limit(connection, self._timeout, receiving=False)
        connection.connect(str(self._path))


def _receive(connection: socket.socket, length: int, until: float) -> bytes:
    received = b""
    while len(received) < length:
        connection.settimeout(max(0.001, until - time.monotonic()))
        more = connection.recv(length - len(received))
        if not more:
            raise OSError("it closed the connection without an answer")
        received += more
    return received
