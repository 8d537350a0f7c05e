"""The socket map at its socket: what is answered, and what becomes of everything else."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from autocreate import log_handlers, logs
from autocreate.frontends import socketmap
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.listener import listening
from autocreate.frontends.socketmap import SocketMap
from autocreate.statistics.recorder import Statistics
from tests.servers.common import wait_until
from tests.unit.house import TREE, House


class Rig:
    def __init__(self, path: Path, house: House) -> None:
        self.path = path
        self.house = house
        self.statistics = Statistics()
        self.gate = ServiceGate(house.service, self.statistics)

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(20.0)
        client.connect(str(self.path))
        return client

    def ask(self, key: str) -> str:
        with self.connect() as client:
            return asked(client, key)

    def raw(self, data: bytes) -> bytes:
        """All that is said to these bytes, after which nothing more comes."""
        with self.connect() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            said = b""
            # Closed with something unread, it is reset.
            with contextlib.suppress(ConnectionResetError):
                while more := client.recv(1000):
                    said += more
            return said


def netstring(data: bytes) -> bytes:
    return b"%d:%b," % (len(data), data)


def asked(client: socket.socket, key: str) -> str:
    client.sendall(netstring(b"recipients " + key.encode()))
    return heard(client)


def heard(client: socket.socket) -> str:
    """The word of one answer."""
    head = b""
    while not head.endswith(b":"):
        head += client.recv(1)
    size = int(head[:-1]) + 1
    body = b""
    while len(body) < size:
        body += client.recv(size - len(body))
    return body.split(b" ")[0].decode()


Start = Callable[..., AbstractContextManager[Rig]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    @contextmanager
    def started(connections: int = 4, **house: Any) -> Iterator[Rig]:
        rig = Rig(tmp_path / "map.sock", House(tmp_path, accounts={"joe": ()}, **house))
        with listening("socketmap.socket", f"unix:{rig.path}", 0o600, None) as listener:
            server = SocketMap(listener, connections)
            server.serve(rig.gate, lambda error: None)
            try:
                yield rig
            finally:
                server.stop()

    return started


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The log's lines about lookups, without times."""
    caplog.set_level(logging.DEBUG)

    def told() -> list[str]:
        found = [it for it in caplog.records if it.msg == "lookup"]
        formatter = log_handlers.TextFormatter()
        return [re.sub(r" ms=\S+", "", formatter.format(it)) for it in found]

    return told


def test_a_new_user_is_found_and_gets_no_mailbox(start: Start) -> None:
    with start() as rig:
        assert rig.ask("joe@example.org") == "OK"
        assert not rig.house.store.exists("joe")
        assert list(rig.house.journal.all_unfinished()) == []


def test_the_answers(start: Start) -> None:
    with start() as rig:
        said = {
            key: rig.ask(key)
            for key in (
                *("joe@example.org", "joe+lists@example.org", "joe", "nobody@example.org"),
                *(
                    "joe@other.test",
                    "@example.org",
                    "",
                    "a b@example.org",
                    "postmaster@example.org",
                ),
            )
        }
    assert said == {
        "joe@example.org": "OK",
        "joe+lists@example.org": "OK",
        "joe": "OK",
        "nobody@example.org": "NOTFOUND",
        "joe@other.test": "NOTFOUND",
        "@example.org": "NOTFOUND",
        "": "NOTFOUND",
        "a b@example.org": "NOTFOUND",
        "postmaster@example.org": "OK",
    }


def test_whatever_cannot_be_told_is_temporary(start: Start) -> None:
    with start() as rig:
        rig.house.accounts.fails = True
        assert rig.ask("joe@example.org") == "TEMP"
        rig.house.accounts.fails = False
        assert rig.ask("joe@example.org") == "OK"
        assert rig.gate.drain(1.0)
        assert rig.ask("joe@example.org") == "TEMP"


def test_in_dry_run_only_who_has_a_mailbox_is_found(start: Start) -> None:
    with start(dry_run=True) as rig:
        rig.house.store.trees["old"] = TREE
        assert rig.ask("joe@example.org") == "NOTFOUND"
        assert rig.ask("old@example.org") == "OK"
        assert rig.ask("nobody@example.org") == "NOTFOUND"
        rig.house.accounts.fails = True
        assert rig.ask("old@example.org") == "OK"
        seen = {it["recipient"]: it["answer"] for it in rig.house.journal.seen()}
    assert seen == {
        "joe@example.org": "accept",
        "old@example.org": "temporary",
        "nobody@example.org": "unknown",
    }


def test_a_connection_serves_one_request_after_another_and_takes_no_thread_between(
    start: Start,
) -> None:
    with start(connections=3) as rig:
        clients = [rig.connect() for _ in range(2)]
        for _ in range(3):
            assert [asked(it, "joe@example.org") for it in clients] == ["OK", "OK"]
        # Both are idle, and further ones are served.
        assert rig.ask("nobody@example.org") == "NOTFOUND"
        assert [asked(it, "joe@example.org") for it in clients] == ["OK", "OK"]
        threads = [it for it in threading.enumerate() if it.name.startswith("map-socket_")]
        assert len(threads) <= 3
        for client in clients:
            client.close()


def test_requests_that_come_together_are_all_answered(start: Start) -> None:
    requests = b"".join(
        netstring(b"m " + it) for it in (b"joe@example.org", b"x@example.org", b"joe")
    )
    with start() as rig, rig.connect() as client:
        client.sendall(requests)
        assert [heard(client) for _ in range(3)] == ["OK", "NOTFOUND", "OK"]


def test_a_request_may_come_byte_by_byte(start: Start) -> None:
    with start() as rig, rig.connect() as client:
        for byte in netstring(b"m joe@example.org"):
            client.sendall(bytes([byte]))
        assert heard(client) == "OK"


@pytest.mark.parametrize(
    "data",
    [b"x", b"5:joe", b"3:joe,", b"6:m joe;", b"99999:m joe,", b"\r\n\r\n", b"GET / HTTP/1.0\r\n"],
)
def test_what_is_not_a_request_is_answered_or_not_and_the_connection_is_closed(
    start: Start, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with start() as rig:
        assert rig.raw(data) in (b"", b"28:PERM Not a request for a map,")
        assert rig.ask("joe@example.org") == "OK"
    assert len([it for it in caplog.messages if "malformed" in it]) <= 1


def test_a_request_that_never_ends_is_given_up(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socketmap, "_READING", 0.05)
    with start() as rig, rig.connect() as client:
        client.sendall(b"17:m joe")
        assert client.recv(1000) == b"28:PERM Not a request for a map,"
        assert client.recv(1000) == b""


def test_of_too_many_idle_connections_the_longest_idle_is_closed(start: Start) -> None:
    with start(connections=1) as rig:
        first = rig.connect()
        assert asked(first, "joe@example.org") == "OK"
        second = rig.connect()
        assert asked(second, "joe@example.org") == "OK"
        assert first.recv(1) == b""
        assert asked(second, "joe@example.org") == "OK"
        first.close()
        second.close()


def test_a_client_that_does_not_read_is_disconnected_and_gets_no_answer_of_another(
    start: Start,
) -> None:
    request = netstring(b"m joe@example.org")
    with start() as rig, rig.connect() as client:
        client.settimeout(0.5)
        sent = 0
        with contextlib.suppress(OSError):  # it is disconnected
            while True:
                client.sendall(request)
                sent += 1
        client.settimeout(20.0)
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while more := client.recv(65536):
                said += more
        answer = b"18:OK joe@example.org,"
        assert 0 < said.count(answer) < sent
        assert said == (answer * sent)[: len(said)]
        assert rig.ask("joe@example.org") == "OK"


def test_verdicts_are_counted_as_the_maps_own(start: Start) -> None:
    with start() as rig:
        rig.ask("joe@example.org")
        rig.ask("nobody@example.org")
        kinds = rig.statistics.totals().kinds
    assert {(it.frontend, it.answer) for it in kinds} == {
        ("socketmap", "accept"),
        ("socketmap", "unknown"),
    }


def test_a_recipient_that_the_milter_will_log_is_a_line_of_debugging(
    start: Start, lines: Callable[[], list[str]]
) -> None:
    with start() as rig:
        rig.ask("joe@example.org")
        rig.ask("nobody@example.org")
    found, unknown = lines()
    assert found.startswith(
        "DEBUG lookup recipient=joe@example.org map=recipients said=OK answer=accept user=joe"
    )
    assert unknown.startswith(
        "INFO lookup recipient=nobody@example.org map=recipients said=NOTFOUND answer=unknown "
    )


def test_lines_about_recipients_that_are_not_found_have_a_bound(
    start: Start, lines: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_no_such", logs._NoSuchRecipients(3))
    with start() as rig:
        for number in range(4):
            rig.ask(f"nobody{number}@example.org")
            rig.ask(f"joe{number}@other.test")
    assert len(lines()) == 3


def test_a_domain_that_is_not_ours_is_a_warning_once_an_hour(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    with start() as rig:
        for number in range(5):
            rig.ask(f"joe@other{number}.test")
    (told,) = [it for it in caplog.messages if "milter.domains" in it]
    assert told == (
        "the map socket says NOTFOUND about 'joe@other0.test': domain 'other0.test' is not ours. "
        "If its domain is yours, add it to milter.domains"
    )


def test_stopping_ends_idle_connections(start: Start) -> None:
    with start() as rig:
        client = rig.connect()
        assert asked(client, "joe@example.org") == "OK"
    wait_until(lambda: client.recv(1) == b"", 10.0, "the end of the connection")
    client.close()
