"""Passwords that saslauthd(8) knows: the request is passed on as it came, and so is the answer."""

import socket
import time
from pathlib import Path

from autocreate.errors import Temporary
from autocreate.passwords import NO, OK
from autocreate.passwords.request import SaslauthdRequest
from autocreate.resilience.exception_map import ExceptionMap, map_exceptions
from autocreate.resilience.steps import LATER, Readable, Steps, run

_PIECE = 4096  # bytes; an answer has a hundred, and never more than 64 KiB
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK


class Saslauthd:
    """A saslauthd.

    Args:
        path: its socket, which saslauthd calls `mux`.
        timeout: seconds for its answer.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = str(path)
        self.timeout = timeout

    def check(self, attempt: SaslauthdRequest) -> bytes:
        """See `PasswordChecker.check`."""
        return run(self.ask(attempt))

    def ask(self, attempt: SaslauthdRequest) -> Steps[bytes]:
        """See `StepwiseChecker.ask`."""
        with (
            map_exceptions(_ERRORS, self),
            socket.socket(socket.AF_UNIX, _STREAM) as connection,
        ):
            answer = yield from self._ask(connection, attempt.raw)
        if not answer.startswith((OK, NO)):
            raise Temporary(f"{self} answered nonsense: {answer[:40]!r}")
        return answer

    def __str__(self) -> str:
        return f"saslauthd at {self._path}"

    def _ask(self, connection: socket.socket, request: memoryview) -> Steps[bytes]:
        """Send a request and read its answer, within the timeout.

        saslauthd's queue is short (32 in saslauthd 2.1.28). While it is full the kernel says so at once.
        """
        until = time.monotonic() + self.timeout
        while True:
            try:
                connection.connect(self._path)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise TimeoutError from None
            yield LATER
        connection.sendall(request)
        received = b""
        while True:
            yield Readable(connection, until)
            try:
                more = connection.recv(_PIECE)
            except BlockingIOError:
                continue
            if not more:
                raise OSError("it closed the connection without an answer")
            received += more
            end = 2 + int.from_bytes(received[:2], "big")
            if len(received) >= max(2, end):
                return received[2:end]


def _no_answer(server: Saslauthd, _: OSError) -> Temporary:
    return Temporary(f"{server} did not answer within {server.timeout:g} s")


_ERRORS: ExceptionMap[Saslauthd] = {
    TimeoutError: _no_answer,
    OSError: lambda server, error: Temporary(
        f"{server} cannot be asked: {error.strerror or error}"
    ),
}
