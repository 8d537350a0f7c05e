"""A connection whose failures are told as the server's, for the protocols that are read line by line."""

import socket
from contextlib import AbstractContextManager

from autocreate.errors import Unreachable
from autocreate.mailstore.server import Exchange, Server
from autocreate.mailstore.wire import tls_context
from autocreate.resilience.answer_limit import LimitedStream
from autocreate.resilience.exception_map import ExceptionMap, map_exceptions


class ServerStream(LimitedStream):
    """Connects to a server.

    Args:
        server: where it is; `timeout` is for the connection and its first answer.
        errors: what a failure means.

    Raises, from `line`, `exactly`, `send` and `start_tls` too:
        Unreachable: or whatever `errors` makes of the failure.
    """

    def __init__(self, server: Server, errors: ExceptionMap[Exchange]) -> None:
        self._server = server
        self._errors = errors
        with self._exchange("connecting"):
            address = (server.host, server.port)
            connection = socket.create_connection(address, timeout=server.timeout)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(connection, server.timeout)

    def start_tls(self) -> None:
        """Start TLS, once the server has agreed to it."""
        with self._exchange("STARTTLS"):
            self.secure(tls_context(self._server.ca_file), self._server.host)

    def line(self) -> bytes:
        """See `LimitedStream.line`."""
        with self._exchange("reading"):
            return super().line()

    def exactly(self, size: int) -> bytes:
        """See `LimitedStream.exactly`."""
        with self._exchange("reading"):
            return super().exactly(size)

    def send(self, data: bytes | memoryview, doing: str = "writing") -> None:
        """See `LimitedStream.send`. `doing` is for the error."""
        with self._exchange(doing):
            super().send(data)

    def nonsense(self, said: bytes | str) -> Unreachable:
        """The error for an answer that makes no sense."""
        return Unreachable(f"{self._server} answered nonsense: {said[:100]!r}")

    def _exchange(self, doing: str) -> AbstractContextManager[None]:
        return map_exceptions(self._errors, Exchange(self._server, doing))
