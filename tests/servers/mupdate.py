"""A MUPDATE master that a test scripts: it keeps its list in memory, and can be silent, away, or talk nonsense."""

from __future__ import annotations

import base64
import socket
import threading

from .scripted import ScriptedServer

ADMIN = "mupdateuser"
PASSWORD = "battery staple"


class FakeMaster(ScriptedServer):
    """`put`, `reserve` and `remove` change its list. `answer` is said in place of an answer, if not empty.

    Args:
        role: what its greeting ends with.
        mechanisms: what it offers to log in by.
    """

    def __init__(self, role: str = "(master)", mechanisms: str = '"PLAIN"') -> None:
        super().__init__()
        self._role = role
        self._mechanisms = mechanisms
        self._lock = threading.Lock()
        self._entries: dict[bytes, bytes] = {}
        self._history: list[bytes] = []
        self.answer = b""
        self.is_silent = False
        self.questions: list[str] = []

    def put(self, name: str, location: str) -> None:
        self._change(
            name, b"MAILBOX %b %b %b" % (_said(name), _said(location), _said("joe\tlrs\t"))
        )

    def reserve(self, name: str, location: str) -> None:
        self._change(name, b"RESERVE %b %b" % (_said(name), _said(location)))

    def remove(self, name: str) -> None:
        self._change(name, b"DELETE %b" % _said(name))

    def _change(self, name: str, said: bytes) -> None:
        with self._lock:
            self._entries.pop(name.encode(), None)
            if not said.startswith(b"DELETE"):
                self._entries[name.encode()] = said
            self._history += [said, said]  # Cyrus's says all of it twice

    def serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client.makefile("rwb", 0) as stream:
            greeting = (
                f'* AUTH {self._mechanisms}\r\n* COMPRESS "DEFLATE"\r\n* PARTIAL-UPDATE\r\n'
                f'* OK MUPDATE "fake" "Cyrus IMAP" "3.6" "{self._role}"\r\n'
            )
            stream.write(greeting.encode())
            update, told = b"", 0
            while words := _words(stream):
                tag, command, *strings = words
                self.questions.append(command.decode())
                if self.is_silent:
                    continue
                if self.answer and command != b"AUTHENTICATE":
                    stream.write(self.answer.replace(b"TAG", tag))
                    return
                with self._lock:
                    entries, history = dict(self._entries), list(self._history)
                match command:
                    case b"AUTHENTICATE":
                        expected = f"\0{ADMIN}\0{PASSWORD}".encode()
                        if base64.b64decode(strings[1]) != expected:
                            stream.write(tag + b' NO "authentication failure"\r\n')
                            continue
                    case b"FIND":
                        if said := entries.get(strings[0]):
                            stream.write(b"%b %b\r\n" % (tag, said))
                    case b"UPDATE":
                        update, told = tag, len(history)
                        stream.write(b"".join(b"%b %b\r\n" % (tag, it) for it in entries.values()))
                    case b"NOOP" if update:
                        fresh, told = history[told:], len(history)
                        stream.write(b"".join(b"%b %b\r\n" % (update, it) for it in fresh))
                stream.write(tag + b' OK "done"\r\n')


def _said(text: str) -> bytes:
    return b"{%d+}\r\n%b" % (len(text.encode()), text.encode())


def _words(stream: socket.SocketIO) -> list[bytes]:
    """A command, whose strings are literals."""
    words: list[bytes] = []
    while True:
        *before, last = stream.readline().split() or [b""]
        words += before
        if not last.endswith(b"+}"):
            return [*words, last] if last else words
        words.append(stream.read(int(last[1:-2])))
