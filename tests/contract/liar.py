"""A loopback server that speaks no good IMAP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

from tests.servers.scripted import ScriptedServer

_LOGGED_IN = b"* CAPABILITY IMAP4rev1 ACL QUOTA NAMESPACE SASL-IR AUTH=PLAIN"


class Liar(ScriptedServer):
    """Says `words` to whoever connects, or to whoever has logged in, and to every further line.

    Args:
        words: makes what is said, piece by piece, perhaps for ever.
        polite: let the client log in first.
        hang_up: close the connection after the words.
    """

    def __init__(self, words: Callable[[], Iterator[bytes]], polite: bool, hang_up: bool) -> None:
        super().__init__()
        self._words = words
        self._polite = polite
        self._hang_up = hang_up

    def serve(self, client: socket.socket) -> None:
        with client.makefile("rb") as lines:
            if self._polite:
                client.sendall(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hello\r\n")
                while not self._log_in(client, lines.readline()):
                    pass
                lines.readline()
            self._speak(client)
            if not self._hang_up:
                self._is_over.wait()

    def _log_in(self, client: socket.socket, line: bytes) -> bool:
        tag = (line.split() or [b"*"])[0]
        client.sendall(_LOGGED_IN + b"\r\n" + tag + b" OK done\r\n")
        return b"AUTHENTICATE" in line or not line

    def _speak(self, client: socket.socket) -> None:
        for piece in self._words():
            if self._is_over.is_set():
                return
            client.sendall(piece)


def drip() -> Iterator[bytes]:
    """A byte now and then, for ever."""
    pause = threading.Event()
    while not pause.wait(0.05):
        yield b"x"
