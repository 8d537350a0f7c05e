"""Passwords that saslauthd(8) knows: the request is passed on as it came, and so is the answer."""

import socket
from pathlib import Path

from autocreate.errors import Temporary
from autocreate.passwords import NO, OK
from autocreate.passwords.request import SaslauthdRequest
from autocreate.resilience import socket_timeout
from autocreate.resilience.answer_limit import AnswerLimit
from autocreate.resilience.exception_map import ExceptionMap, map_exceptions

_LONGEST = 0xFFFF  # bytes of an answer: its length has 16 bits


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
            answer = self._ask(connection, attempt.raw)
        if not answer.startswith((OK, NO)):
            raise Temporary(f"{self} answered nonsense: {answer[:40]!r}")
        return answer

    def __str__(self) -> str:
        return f"saslauthd at {self._path}"

    def _ask(self, connection: socket.socket, request: memoryview) -> bytes:
        """Send a request and read its answer, within the timeout.

        The socket is a blocking one whose time limits the kernel keeps. That saves a poll(2) for each
        call. And it waits in saslauthd's queue, which is short (32 in saslauthd 2.1.28): to a socket
        with Python's own time limit, a non-blocking one, the kernel reports a full queue at once.
        """
        limit = AnswerLimit(self.timeout)
        socket_timeout.limit(connection, self.timeout, receiving=False)
        connection.connect(str(self._path))
        connection.sendall(request)
        received = b""
        while len(received) < _size(received):
            socket_timeout.limit(connection, limit.seconds_left())
            more = connection.recv(2 + _LONGEST)
            if not more:
                raise OSError("it closed the connection without an answer")
            received += more
        return received[2 : _size(received)]


def _size(received: bytes) -> int:
    """The bytes of an answer, by its first two where they have come."""
    return 2 + (int.from_bytes(received[:2], "big") if len(received) >= 2 else 0)


def _no_answer(server: Saslauthd, _: OSError) -> Temporary:
    return Temporary(f"{server} did not answer within {server.timeout:g} s")


_ERRORS: ExceptionMap[Saslauthd] = {
    TimeoutError: _no_answer,
    BlockingIOError: _no_answer,  # SO_SNDTIMEO or SO_RCVTIMEO is over
    OSError: lambda server, error: Temporary(
        f"{server} cannot be asked: {error.strerror or error}"
    ),
}
