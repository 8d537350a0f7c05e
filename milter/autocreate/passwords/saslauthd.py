"""Passwords that saslauthd(8) knows: the request is passed on as it came, and so is the answer."""

import socket
from pathlib import Path

from autocreate.errors import Temporary
from autocreate.passwords import NO, OK
from autocreate.passwords.request import SaslauthdRequest
from autocreate.resilience import socket_timeout
from autocreate.resilience.answer_limit import LimitedStream
from autocreate.resilience.exception_map import ExceptionMap, map_exceptions


class Saslauthd:
    """A saslauthd.

    Args:
        path: its socket, which saslauthd calls `mux`.
        timeout: seconds for its answer.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path
        self.timeout = timeout

    def check(self, attempt: SaslauthdRequest) -> bytes:
        """See `PasswordChecker.check`."""
        with (
            map_exceptions(_ERRORS, self),
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
        ):
            stream = LimitedStream(connection, self.timeout)
            self._connect(connection)
            stream.send(attempt.raw)
            length = int.from_bytes(_exactly(stream, 2), "big")
            answer = _exactly(stream, length)
        if not answer.startswith((OK, NO)):
            raise Temporary(f"{self} answered nonsense: {answer[:40]!r}")
        return answer

    def __str__(self) -> str:
        return f"saslauthd at {self._path}"

    def _connect(self, connection: socket.socket) -> None:
        """Connect, and wait in its queue if saslauthd is busy.

        Its queue is short (32 in saslauthd 2.1.28). To a socket with Python's own time limit, which is
        a non-blocking one, the kernel reports a full queue at once.
        """
        socket_timeout.limit(connection, self.timeout, receiving=False)
        connection.connect(str(self._path))


def _no_answer(server: Saslauthd, _: OSError) -> Temporary:
    return Temporary(f"{server} did not answer within {server.timeout:g} s")


_ERRORS: ExceptionMap[Saslauthd] = {
    TimeoutError: _no_answer,
    BlockingIOError: _no_answer,  # SO_SNDTIMEO is over
    OSError: lambda server, error: Temporary(
        f"{server} cannot be asked: {error.strerror or error}"
    ),
}


def _exactly(stream: LimitedStream, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise OSError("it closed the connection without an answer")
    return data
