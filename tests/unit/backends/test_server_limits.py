"""A database server or a directory that never ends its answer costs bounded time and memory."""

from __future__ import annotations

import contextlib
import itertools
import socket
import tempfile
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from autocreate.backends.ldap import DirectoryServer
from autocreate.backends.options import LdapOptions, SqlOptions
from autocreate.backends.sql import Database
from autocreate.errors import Temporary
from tests.contract.liar import drip
from tests.servers.scripted import ScriptedServer

# What the kernel's buffers and a few reads may hold beyond the limit of an answer.
MOST_SENT = 64 << 20

GREETING = (
    b"\x0a8.0.1\0\1\0\0\0" + b"8 bytes.\0\x00\x82\x21\x02\0\x08\0\x15" + bytes(10)
) + b"twelve bytes\0mysql_native_password\0"


class Endless(ScriptedServer):
    """Lets everybody in, and never ends its first answer. `sent` is how much it could send."""

    def __init__(
        self, words: Callable[[], Iterator[bytes]], listener: socket.socket | None = None
    ) -> None:
        super().__init__(listener)
        self._words = words
        self.sent = 0

    def serve(self, client: socket.socket) -> None:
        client.sendall(self.let_in(client))
        client.recv(4096)
        client.sendall(self.begin)
        for piece in self._words():
            client.sendall(piece)
            self.sent += len(piece)

    begin = b""
    """How an answer begins."""
    more = b"x" * 65536
    """How it goes on."""

    @abstractmethod
    def let_in(self, client: socket.socket) -> bytes:
        """All up to the last word to somebody who logs in."""

    @abstractmethod
    def ask(self) -> None:
        """Ask it as this program does."""


class MySql(Endless):
    begin = b"\0\0\x10\1"

    def let_in(self, client: socket.socket) -> bytes:
        client.sendall(len(GREETING).to_bytes(3, "little") + b"\0" + GREETING)
        client.recv(4096)
        return b"\7\0\0\2\0\0\0\2\0\0\0"

    def ask(self) -> None:
        _select(f"mysql://reader@127.0.0.1:{self.port}/mail")


class PostgreSql(Endless):
    begin = b"T\0\0\0\x1a\0\1x\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"
    more = b"D\0\0\0\x0b\0\1\0\0\0\1x" * 5000

    def let_in(self, client: socket.socket) -> bytes:
        client.recv(4096)
        return b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"

    def ask(self) -> None:
        _select(
            f"postgresql://reader@127.0.0.1:{self.port}/mail?sslmode=disable&gssencmode=disable"
        )


class LocalPostgreSql(PostgreSql):
    """At a Unix socket, where the kernel does not count what it received."""

    def __init__(self, words: Callable[[], Iterator[bytes]]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{self._folder.name}/.s.PGSQL.5432")
        listener.listen()
        super().__init__(words, listener)

    def ask(self) -> None:
        _select(f"postgresql://reader@/mail?host={self._folder.name}")

    def close(self) -> None:
        super().close()
        self._folder.cleanup()


class Ldap(Endless):
    begin = b"\x30\x84\x3f\xff\xff\xff\x02\x01\x02\x64\x84\x3f\xff\xff\xf0\x04\x84\x3f\xff\xff\x00"

    def serve(self, client: socket.socket) -> None:
        if self.connections > 1:  # the first one only looks whether it can be reached
            super().serve(client)

    def let_in(self, client: socket.socket) -> bytes:
        client.recv(4096)
        return b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"

    def ask(self) -> None:
        options = LdapOptions(
            "accounts.staff",
            urls=(f"ldap://127.0.0.1:{self.port}",),
            tls="none",
            ca_file=None,
            bind_dn="",
            password_file=None,
            external=False,
            timeout=TIMEOUT,
            connections=1,
            base="dc=test",
            scope="sub",
        )
        with contextlib.closing(DirectoryServer(options)) as directory:
            directory.find_one("dc=test", "sub", "(uid=joe)", ["uid"])


TIMEOUT = 2.0


def _select(url: str) -> None:
    with contextlib.closing(Database(SqlOptions("it", url, None, TIMEOUT, 1))) as database:
        database.select(sa.text("SELECT 1"), {})


@pytest.mark.parametrize("kind", [MySql, PostgreSql, LocalPostgreSql, Ldap])
def test_an_answer_without_end_is_not_read_to_its_end(kind: type[Endless]) -> None:
    with kind(lambda: itertools.repeat(kind.more)) as server:
        began = time.monotonic()
        with pytest.raises(Temporary):
            server.ask()
        assert time.monotonic() - began < 20.0
        assert server.sent < MOST_SENT


@pytest.mark.parametrize("kind", [MySql, PostgreSql, LocalPostgreSql, Ldap])
def test_an_answer_that_drips_has_no_more_time_than_any_other(kind: type[Endless]) -> None:
    with kind(drip) as server:
        began = time.monotonic()
        with pytest.raises(Temporary):
            server.ask()
        assert time.monotonic() - began < 20.0
        assert server.sent
