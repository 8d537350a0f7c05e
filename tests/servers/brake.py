"""A proxy before Cyrus's IMAP port that stops a session at a command of the test's choice."""

from __future__ import annotations

import contextlib
import re
import socket
import threading

from .common import HOST
from .scripted import ScriptedServer


class Brake(ScriptedServer):
    """Passes everything on until told otherwise."""

    def __init__(self, imap_port: int) -> None:
        super().__init__()
        self._imap_port = imap_port
        self._pattern: re.Pattern[bytes] | None = None
        self._is_refusing = False
        self._is_dropping = False
        self._held = threading.Event()
        self._released = threading.Event()

    def close(self) -> None:
        self._released.set()
        super().close()

    def hold(self, pattern: str) -> None:
        """The first command that the pattern matches reaches nobody, and its session stands still."""
        self._held.clear()
        self._released.clear()
        self._pattern = re.compile(pattern.encode())

    def passes(self, line: bytes) -> None:
        """Called with each line that a client sends, for who looks at them."""

    def wait_until_held(self, timeout: float = 15.0) -> None:
        assert self._held.wait(timeout), "no command came to be held"

    def let_go(self) -> None:
        """The command that was held goes on its way."""
        self._is_dropping = False
        self._released.set()

    def refuse(self) -> None:
        """Sessions that stand still are dropped, and new ones are not let in."""
        self._is_refusing = True
        self._drop_held()

    def release(self) -> None:
        """Sessions that stand still are dropped; from now on everything passes."""
        self._is_refusing = False
        self._drop_held()

    def _drop_held(self) -> None:
        self._pattern = None
        self._is_dropping = True
        self._released.set()

    def serve(self, client: socket.socket) -> None:
        if self._is_refusing:
            return
        with socket.create_connection((HOST, self._imap_port)) as server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_copy, args=(server, client), daemon=True).start()
            self._pass_commands(client, server)

    def _pass_commands(self, client: socket.socket, server: socket.socket) -> None:
        for line in client.makefile("rb"):
            self.passes(line)
            if self._pattern and self._pattern.search(line):
                self._pattern = None
                self._held.set()
                self._released.wait()
                if self._is_dropping:
                    return
            server.sendall(line)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)
