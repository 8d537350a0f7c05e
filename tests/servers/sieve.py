"""A user's Sieve scripts as timsieved tells them, independently of the product's own code."""

from __future__ import annotations

import base64
import re
import socket
from typing import TYPE_CHECKING, NamedTuple

from .cyrusversion import version

if TYPE_CHECKING:
    from .cyrus import Cyrus


class Script(NamedTuple):
    text: bytes
    is_active: bool


def kept(text: bytes) -> bytes:
    """A script's text, as exactly as the installed Cyrus keeps it: 3.2 changes how lines end."""
    return text if version() >= (3, 6) else text.replace(b"\r\n", b"\n")


class Session:
    """The user's own session, opened by the administrator. INBOX must stand."""

    def __init__(self, cyrus: Cyrus, user: str) -> None:
        self._socket = socket.create_connection((cyrus.host, cyrus.sieve_port), 20.0)
        self._file = self._socket.makefile("rwb")
        self._answer()
        words = f"{user}\0{cyrus.admin}\0{cyrus.admin_password}".encode()
        self.ask(b'AUTHENTICATE "PLAIN" "' + base64.b64encode(words) + b'"')

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.ask(b"LOGOUT")
        self._file.close()
        self._socket.close()

    def ask(self, command: bytes) -> list[bytes]:
        """The lines of the answer, a literal being one line."""
        self._file.write(command + b"\r\n")
        self._file.flush()
        return self._answer()

    def put(self, name: str, text: bytes, activate: bool = True) -> None:
        self.ask(b'PUTSCRIPT "%s" {%d+}\r\n%s' % (name.encode(), len(text), text))
        if activate:
            self.ask(b'SETACTIVE "%s"' % name.encode())

    def scripts(self) -> dict[str, Script]:
        found = {}
        for line in self.ask(b"LISTSCRIPTS"):
            listed = re.fullmatch(rb'"(.*)"( ACTIVE)?', line)
            assert listed, line
            (text,) = self.ask(b'GETSCRIPT "%s"' % listed[1])
            found[listed[1].decode()] = Script(kept(text), listed[2] is not None)
        return found

    def _answer(self) -> list[bytes]:
        lines = []
        while True:
            line = self._file.readline().rstrip(b"\r\n")
            if literal := re.fullmatch(rb"(?:NO )?\{(\d+)\+?\}", line):
                text = self._file.read(int(literal[1]))
                self._file.readline()
                assert not line.startswith(b"NO"), text
                lines.append(text)
            elif re.match(rb"OK\b", line):
                return lines
            else:
                assert line.startswith(b'"'), f"timsieved said {line!r}"
                lines.append(line)
