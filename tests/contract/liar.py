"""A loopback server that speaks no good IMAP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

from tests.servers.scripted import ScriptedServer

_LOGGED_IN = b"* CAPABILITY IMAP4rev1 ACL QUOTA NAMESPACE SASL-IR AUTH=PLAIN"


class Liar(ScriptedServer):
    """Says `words` to whoever connects, or to whoever has logged in, and to every further line.

    Args:
        words: makes what is said, piece by piece, perhaps for ever.
        polite: let the client log in first.
        hang_up: close the connection after the words.
        listener: see `ScriptedServer`.
    """

    def __init__(
        self,
        words: Callable[[], Iterator[bytes]],
        polite: bool,
        hang_up: bool,
        listener: socket.socket | None = None,
    ) -> None:
        super().__init__(listener)
        self._words = words
        self._polite = polite
        self._hang_up = hang_up

    def serve(self, client: socket.socket) -> None:
        with client.makefile("rb") as lines:
            if self._polite:
                client.sendall(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hello\r\n")
                while not self._log_in(client, lines):
                    pass
                lines.readline()
            self._speak(client)
            if not self._hang_up:
                self._is_over.wait()

    def _log_in(self, client: socket.socket, lines: BinaryIO) -> bool:
        line = lines.readline()
        tag = (line.split() or [b"*"])[0]
        if b"AUTHENTICATE" in line:
            client.sendall(b"+ \r\n")
            lines.readline()
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
