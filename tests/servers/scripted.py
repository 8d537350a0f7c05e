"""The life of a server that a test scripts itself: a thread that accepts, and one for each connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from .common import HOST, stop_listening


class ScriptedServer(ABC):
    """Takes connections between `__enter__` and `__exit__`, and closes those that are left.

    `connections` counts those that came, `port` is where it listens.

    Args:
        listener: another socket than one on a free port of loopback.
    """

    host = HOST

    def __init__(self, listener: socket.socket | None = None) -> None:
        self._listener = listener or socket.create_server((HOST, 0))
        self._clients: list[socket.socket] = []
        self._is_over = threading.Event()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self.connections = 0
        # Kept, to tell where nobody listens any more.
        self.port = 0 if self._listener.family == socket.AF_UNIX else _port(self._listener)

    @abstractmethod
    def serve(self, client: socket.socket) -> None:
        """Talks with one client, in a thread of its own. An OSError ends the talk."""

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def send(self, client: socket.socket, data: bytes, pause: float) -> None:
        """Sends at once, or with a pause in seconds after each byte until the server is closed."""
        if not pause:
            client.sendall(data)
            return
        for byte in data:
            client.sendall(bytes([byte]))
            if self._is_over.wait(pause):
                return

    def close(self) -> None:
        """Nobody listens any more, and every connection ends."""
        self._is_over.set()
        stop_listening(self._listener, *([self._acceptor] if self._acceptor.ident else []))
        self.drop()

    def drop(self) -> None:
        """Ends every connection that there is."""
        clients, self._clients = self._clients, []
        for client in clients:
            _shut(client)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._clients.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            self.serve(client)


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
