"""Readers of what a peer says: servers of five protocols, and both ends of the control socket.

Each connects to a server of ours that says the bytes, and then no more.
"""

from __future__ import annotations

import contextlib
import functools
import imaplib
import io
import json
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from autocreate.core.naming import CYRUS_DEFAULTS, Mailboxes
from autocreate.frontends import control, control_client, map_protocol, socketmap
from autocreate.frontends.gate import ServiceGate
from autocreate.lmtp import client as lmtp
from autocreate.mailstore.imap import SPECIAL_USE, Session
from autocreate.mailstore.replication import Replication, syncget
from autocreate.mailstore.server import Server
from autocreate.mailstore.sieve import managesieve
from autocreate.model import Envelope
from autocreate.murder.wire import Mupdate, MupdateServer
from autocreate.passwords.imap import Imap
from autocreate.passwords.request import SaslauthdRequest
from autocreate.passwords.saslauthd import Saslauthd
from autocreate.report.gather import gather
from autocreate.resilience.answer_limit import LimitedStream
from autocreate.resilience.steps import run
from autocreate.service.journal import Journal
from autocreate.service.service import Service
from autocreate.statistics.recorder import Statistics
from tests.servers.common import HOST
from tests.servers.scripted import ScriptedServer

from .reader import Reader, repeated, text_of

_TIMEOUT = 5.0  # seconds; nothing waits for so long, since the servers hang up
_OFFER = b"IMAP4rev1 SASL-IR AUTH=PLAIN ACL QUOTA NAMESPACE METADATA"


class _Says(ScriptedServer):
    """Says the bytes `said` to whoever connects, and no more; takes what it is told until the peer ends."""

    said = b""

    def serve(self, client: socket.socket) -> None:
        client.sendall(self.said)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass


class _Imap(_Says):
    """Lets everybody log in, and says `said` to the first command after that; TAG in it is the command's."""

    def serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client.makefile("rwb", 0) as stream:
            stream.write(b"* OK [CAPABILITY %b] hello\r\n" % _OFFER)
            tag = self._let_in(stream)
        client.sendall(self.said.replace(b"TAG", tag))
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass

    def _let_in(self, stream: socket.SocketIO) -> bytes:
        """Answer until a command comes that is none of a login. Returns the tag of that."""
        while words := stream.readline().split():
            tag, command, *arguments = words
            if command == b"AUTHENTICATE":
                if len(arguments) == 1:
                    stream.write(b"+ \r\n")
                    stream.readline()
            elif command == b"CAPABILITY":
                stream.write(b"* CAPABILITY %b\r\n" % _OFFER)
            else:
                return tag
            stream.write(tag + b" OK done\r\n")
        return b"*"


class _Mupdate(_Says):
    """Lets everybody log in, and says `said` to the first command after that."""

    def serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client.makefile("rwb", 0) as stream:
            stream.write(b'* AUTH "PLAIN"\r\n* OK MUPDATE "a" "b" "c" "(master)"\r\n')
            for _ in range(3):  # AUTHENTICATE and two literals
                stream.readline()
            stream.write(b"A1 OK done\r\n")
            stream.readline()
            super().serve(client)


class _Saslauthd(_Says):
    def __init__(self) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("")  # the kernel chooses a name, which needs no file
        listener.listen()
        super().__init__(listener)

    @property
    def path(self) -> Path:
        return Path(text_of(self._listener.getsockname()))


class _ControlSocket(_Says):
    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.path = Path(self._folder.name, "control.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen()
        super().__init__(listener)


@functools.cache
def _started(kind: Callable[[], _Says]) -> _Says:
    """One server for all inputs of a reader; it ends with the process."""
    return kind().__enter__()


@contextlib.contextmanager
def _server(kind: Callable[[], _Says], said: bytes) -> Iterator[Any]:
    server = _started(kind)
    server.said = said
    try:
        yield server
    finally:
        server.drop()


# -- readers -------------------------------------------------------------------------------------


def _looked(session: Session) -> object:
    """What SYNCGET tells, whatever it was asked about."""
    replication = Replication(session, Mailboxes("/"), "joe", Mailboxes("/"))
    return replication.read(session.ask(syncget("META", "joe")))


_ASKED: Mapping[bytes, Callable[[Session], object]] = {
    b"mailboxes": Session.mailboxes,
    b"exists": lambda session: session.exists("user/joe"),
    b"create": lambda session: session.create("user/joe", None, None),
    b"acl": lambda session: session.acl("user/joe"),
    b"quota": lambda session: session.quota("user/joe"),
    b"is_quota_root": lambda session: session.is_quota_root("user/joe"),
    b"metadata": lambda session: session.metadata("user/joe", SPECIAL_USE),
    b"subscriptions": Session.subscriptions,
    b"mailboxes_below": lambda session: session.mailboxes_below("user/"),
    b"selectable": lambda session: list(session.selectable("user/%")),
    b"version": Session.version,
    b"replication": _looked,
}


def _imap(data: bytes) -> None:
    """What is asked, on a line, and the answer."""
    asked, _, answer = data.partition(b"\n")
    ask = _ASKED.get(asked) or list(_ASKED.values())[len(data) % len(_ASKED)]
    with _server(_Imap, answer) as server:
        session = Session(_cyrus(server))
        try:
            ask(session)
        finally:
            session.discard()


def _imap_login(data: bytes) -> None:
    """All that a server says, from its greeting on. In it, TAG0 is the tag of the first command."""
    with _tags_known() as tag, _server(_Says, data.replace(b"TAG", tag)) as server:
        Session(_cyrus(server), "joe").discard()


def _imap_password(data: bytes) -> None:
    with _tags_known() as tag, _server(_Says, data.replace(b"TAG", tag)) as server:
        Imap(HOST, server.port, "none", None, _TIMEOUT).check(_attempt())


@contextlib.contextmanager
def _tags_known() -> Iterator[bytes]:
    """What tags begin with, which imaplib draws by lot otherwise."""
    lot = 4096
    with mock.patch.object(imaplib, "random", SimpleNamespace(randint=lambda *_: lot)):
        yield imaplib.Int2AP(lot)


def _saslauthd(data: bytes) -> None:
    with _server(_Saslauthd, data) as server:
        Saslauthd(server.path, _TIMEOUT).check(_attempt())


def _always_quiet() -> contextlib.AbstractContextManager[object]:
    """The server of a reader says everything at once, which counts as nothing that nobody asked for."""
    return mock.patch.object(LimitedStream, "is_quiet", return_value=True)


def _managesieve(data: bytes) -> None:
    with _always_quiet(), _server(_Says, data) as server:
        session = managesieve.Session(_cyrus(server))
        try:
            session.log_in("joe")
            for name in session.scripts():
                session.text_of(name)
            session.log_out()
        finally:
            session.discard()


def _lmtpd(data: bytes) -> None:
    with _always_quiet(), _server(_Says, data) as server:
        session = lmtp.Session(f"inet:{HOST}:{server.port}", _TIMEOUT)
        try:
            session.ask("joe@example.org", Envelope())
            session.begin()
        finally:
            session.discard()


def _mupdate(data: bytes) -> None:
    """What a master says to FIND or, if the first byte is `U`, to UPDATE; TAG is the command's."""
    with _server(_Mupdate, data.replace(b"TAG", b"A2")) as server:
        told = MupdateServer(HOST, server.port, "none", "cyrus", "secret", timeout=_TIMEOUT)
        session = Mupdate(told)
        try:
            for entry in session.listed() if data[:1] == b"U" else [session.find("user.joe")]:
                assert entry is None or isinstance(entry.user, str)
        finally:
            session.discard()


def _control(data: bytes) -> None:
    def invalidate_accounts(user: str | None) -> None:
        if user is not None:
            CYRUS_DEFAULTS.of_account(user)

    service = SimpleNamespace(stats=dict, status=dict, invalidate_accounts=invalidate_accounts)

    class Gate:
        statistics = Statistics()

        def enter(self) -> contextlib.AbstractContextManager[Service]:
            return contextlib.nullcontext(cast(Service, service))

        def figures(self) -> dict[str, object]:
            return {}

    json.dumps(control.answered(data, cast(ServiceGate, Gate())))


def _control_answer(data: bytes) -> None:
    with _server(_ControlSocket, data) as server:
        control_client.ask(server.path, "figures")


class _Sent:
    """The end of a connection at which these bytes have come, and then no more."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def recv(self, most: int, _flags: int = 0) -> bytes:
        return self._stream.read(most)


def _socketmap(data: bytes) -> None:
    """As many requests as there are."""
    connection = cast(socket.socket, _Sent(data))
    # Of a client that leaves within a request.
    with contextlib.suppress(ConnectionAbortedError):
        received = bytearray()
        while lookup := run(socketmap._read(connection, received)):
            map_protocol.reply(map_protocol.OK, lookup.key)


def _dry_run(data: bytes) -> None:
    """Plans that dry run kept, as `autocreate report` reads them."""
    row = {"recipient": "joe@example.org", "answer": "accept", "last_seen": 1.0}
    rows = [{**row, "plan": line} for line in text_of(data).splitlines()]
    journal = SimpleNamespace(
        tallies=lambda _since: [],
        tallies_begin=lambda: None,
        seen=lambda: rows,
        count_unfinished=lambda: 0,
    )
    gather(cast(Journal, journal), 0.0, 2.0)


def _cyrus(server: _Says) -> Server:
    return Server(HOST, server.port, "none", "cyrus", "secret", timeout=_TIMEOUT)


def _attempt() -> SaslauthdRequest:
    strings = (b"joe", b"secret", b"imap", b"")
    raw = b"".join(len(it).to_bytes(2, "big") + it for it in strings)
    return SaslauthdRequest(memoryview(bytearray(raw)))


_DONE = b"\r\nTAG OK done\r\n"

PROTOCOLS: Mapping[str, Reader] = {
    "socketmap": Reader(_socketmap, (repeated(b"5:m joe,"), repeated(b"m ", b"4000:"))),
    "imap answer": Reader(
        _imap,
        (
            repeated(b"joe lr ", b"acl\n* ACL user/joe ", _DONE),
            repeated(b"* ACL user/joe joe lr\r\n", b"acl\n", _DONE),
            repeated(b"(", b"metadata\n* METADATA user/joe ", _DONE),
            repeated(b'"\\"" ', b"acl\n* ACL user/joe ", _DONE),
            repeated(b'* LSUB () "/" user/joe\r\n', b"subscriptions\n", _DONE),
            repeated(b'* LIST () "/" user/joe\r\n', b"selectable\n", _DONE),
            repeated(b'* LIST () "/" {1}\r\na\r\n', b"mailboxes_below\n", _DONE),
            repeated(b"(", b"replication\n* LSUB ", _DONE),
            repeated(b"%(a ", b"replication\n* MAILBOX ", _DONE),
            repeated(b'"\\"" ', b"replication\n* LSUB (", b")" + _DONE),
            repeated(b"{1}\r\na ", b"replication\n* LSUB (", b")" + _DONE),
            repeated(b"* SIEVE %(FILENAME a.bc ISACTIVE 0)\r\n", b"replication\n", _DONE),
        ),
    ),
    "imap login": Reader(
        _imap_login,
        (repeated(b"A ", b"* OK [CAPABILITY "), repeated(b"* OK\r\n", b"* OK hello\r\n")),
    ),
    "imap password": Reader(
        _imap_password, (repeated(b"+ \r\n", b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello\r\n"),)
    ),
    "saslauthd answer": Reader(_saslauthd, (repeated(b"\xff"),)),
    "managesieve": Reader(
        _managesieve,
        (
            repeated(b'"A" "b"\r\n', b"", b"OK\r\n"),
            repeated(b"a", b"{1000000}\r\n", b"\r\nOK\r\n"),
            repeated(b"(", b"NO "),
            repeated(b'("\\"', b"NO "),
        ),
    ),
    "mupdate": Reader(
        _mupdate,
        (
            repeated(b"A2 MAILBOX user.joe b!p acl\r\n", b"U", b"A2 OK done\r\n"),
            repeated(b"{1}\r\na", b"TAG MAILBOX "),
            repeated(b'"\\"', b"TAG MAILBOX "),
            repeated(b'"" ', b"TAG MAILBOX "),
        ),
    ),
    "lmtpd": Reader(
        _lmtpd,
        (
            repeated(b"220-a\r\n", b"", b"220 a\r\n"),
            repeated(b"250-A\r\n", b"220 a\r\n", b"250 a\r\n"),
            repeated(b"a", b"220 a"),
        ),
    ),
    "control": Reader(_control, (repeated(b"["), repeated(b'{"ask":'), repeated(b"1"))),
    "control answer": Reader(
        _control_answer, (repeated(b"["), repeated(b"1,", b'{"answer": [', b"1]}\n"))
    ),
    "dry run": Reader(
        _dry_run,
        (
            repeated(b'{"actions": []}\n'),
            repeated(b"["),
            repeated(b'{"actions":[]},', b'{"actions":[],"others":[', b'{"actions":[]}]}'),
        ),
    ),
}
