"""The login socket: who may ask, what is answered, and what becomes of everything else."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from autocreate.errors import Temporary
from autocreate.frontends import login
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.listener import listening
from autocreate.frontends.login import LoginServer
from autocreate.model import Login, Verdict
from autocreate.passwords.request import SaslauthdRequest
from autocreate.statistics.recorder import Statistics
from tests.servers.common import wait_until
from tests.unit.house import House


class Checker:
    """Says OK to the password `right`, NO with words to any other; `doubt` keeps it from telling."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.doubt = False

    def check(self, attempt: SaslauthdRequest) -> bytes:
        self.asked.append(attempt.user)
        if self.doubt:
            raise Temporary("the server is away")
        return b"OK (from above)" if bytes(attempt.password) == b"right" else b"NO (from above)"


class Rig:
    def __init__(self, path: Path, house: House, checker: Checker) -> None:
        self.path = path
        self.house = house
        self.checker = checker
        self.statistics = Statistics()

    def ask(self, request: bytes, timeout: float = 30.0) -> bytes:
        """All that the server says to a request."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout)
            client.connect(str(self.path))
            client.sendall(request)
            said = b""
            while more := client.recv(1000):
                said += more
            return said


Start = Callable[..., AbstractContextManager[Rig]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    @contextmanager
    def started(peer: int = os.getuid(), requests: int = 4) -> Iterator[Rig]:
        path = tmp_path / "mux"
        rig = Rig(path, House(tmp_path), Checker())
        with listening("login.socket", f"unix:{path}", 0o600, None) as listener:
            server = LoginServer(listener, rig.checker, [peer], requests)
            server.serve(ServiceGate(rig.house.service, rig.statistics), lambda error: None)
            try:
                yield rig
            finally:
                server.stop()

    return started


def request(user: str = "joe", password: str = "right", *more: str) -> bytes:
    strings = [it.encode() for it in (user, password, "imap", "", *more)]
    return b"".join(len(string).to_bytes(2, "big") + string for string in strings)


def test_the_answer_is_passed_on_unchanged(start: Start) -> None:
    with start() as rig:
        assert rig.ask(request()) == b"\0\x0fOK (from above)"
        assert rig.ask(request(password="wrong")) == b"\0\x0fNO (from above)"
        assert rig.ask(request("joe", "right", "192.0.2.1")) == b"\0\x0fOK (from above)"


def test_logins_are_counted_and_wrong_passwords_are_not(start: Start) -> None:
    with start() as rig:
        for password in ("right", "wrong", "right"):
            rig.ask(request(password=password))
        wait_until(lambda: _counted(rig) == {("login", "accept"): 2}, 10.0, "both logins")


def _counted(rig: Rig) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for kind, count in rig.statistics.totals().kinds.items():
        counts[kind.frontend, kind.answer] += count
    return counts


def test_the_mailbox_exists_before_the_answer(start: Start) -> None:
    with start() as rig:
        rig.ask(request(password="wrong"))
        assert rig.house.store.trees == {}
        rig.ask(request())
        assert "joe" in rig.house.store.trees


def test_a_mailbox_that_cannot_be_made_changes_no_answer(start: Start) -> None:
    with start() as rig:
        rig.house.store.failure = Temporary("Cyrus is away")
        assert rig.ask(request()) == b"\0\x0fOK (from above)"
        wait_until(lambda: rig.house.journal.entry("joe"), 10.0, "the journal's entry")


def test_a_defect_of_ours_changes_no_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_arguments: object) -> None:
        raise RuntimeError("a defect")

    with start() as rig:
        monkeypatch.setattr(rig.house.service, "log_in", defect)
        assert rig.ask(request()) == b"\0\x0fOK (from above)"


def test_where_nobody_can_tell_there_is_no_answer(start: Start) -> None:
    with start() as rig:
        rig.checker.doubt = True
        assert rig.ask(request()) == b""
        assert rig.house.store.trees == {}


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\0\3jo",
        b"\xff\xff" + bytes(1000),
        request("j\0e"),
        request("joe", "right", "a", "b"),
    ],
)
def test_what_is_no_request_is_dropped_and_the_next_is_answered(start: Start, bad: bytes) -> None:
    with start() as rig:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(rig.path))
            client.sendall(bad)
            client.shutdown(socket.SHUT_WR)
            assert client.recv(100) == b""
        assert rig.checker.asked == []
        assert rig.ask(request()).endswith(b"OK (from above)")


def test_who_asks_nothing_is_no_reason_for_a_warning(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with start() as rig:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(rig.path))
        wait_until(lambda: caplog.records, 10.0, "the line in the log")
    assert [it.levelname for it in caplog.records] == ["INFO"]


def test_a_request_that_does_not_come_to_its_end_is_dropped(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "_READING", 0.1)
    with start() as rig:
        assert rig.ask(request()[:-1]) == b""


def test_clients_that_have_sent_a_part_of_a_request_hold_up_nobody(start: Start) -> None:
    with start(requests=2) as rig, ExitStack() as held:
        for _ in range(2):
            slow = held.enter_context(socket.socket(socket.AF_UNIX))
            slow.connect(str(rig.path))
            slow.sendall(request()[:1])
        assert rig.ask(request(), timeout=3.0).endswith(b"OK (from above)")
        slow.sendall(request()[1:])
        slow.settimeout(30.0)
        assert slow.recv(100).endswith(b"OK (from above)")


def test_another_user_of_the_machine_may_not_ask(start: Start) -> None:
    with start(peer=os.getuid() + 1) as rig:
        # The connection is closed with the request unread, which the kernel calls a reset.
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            rig.ask(request())
        assert rig.checker.asked == []


def test_an_administrator_is_let_in_while_all_others_wait(start: Start) -> None:
    let_go = threading.Event()
    with start(requests=4) as rig:
        rig.house.store.exists = lambda user: let_go.wait(60.0)  # type: ignore[method-assign]
        clients = [
            threading.Thread(target=rig.ask, args=(request(f"user{number}"),))
            for number in range(2)
        ]
        for client in clients:
            client.start()
        wait_until(lambda: len(rig.checker.asked) == 2, 10.0, "two that wait")
        try:
            assert rig.ask(request("cyrus")).endswith(b"OK (from above)")
            # Those for whom there is no room to wait are let in without, and looked after later.
            assert rig.ask(request("late"), timeout=20.0).endswith(b"OK (from above)")
            wait_until(lambda: rig.house.journal.entry("late"), 10.0, "the journal's entry")
        finally:
            let_go.set()
            for client in clients:
                client.join()


def test_a_password_is_wiped_before_the_mailbox_is_made(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[memoryview] = []
    found: list[bytes] = []
    with start() as rig:
        check, log_in = rig.checker.check, rig.house.service.log_in

        def keep(attempt: SaslauthdRequest) -> bytes:
            requests.append(attempt.raw)
            return check(attempt)

        def look(subject: Login) -> Verdict:
            found.append(bytes(requests[0]))
            return log_in(subject)

        monkeypatch.setattr(rig.checker, "check", keep)
        monkeypatch.setattr(rig.house.service, "log_in", look)
        rig.ask(request())
    assert found == [bytes(len(request()))]


def test_an_inherited_socket_is_left_to_the_next_instance(tmp_path: Path) -> None:
    path = tmp_path / "mux"
    rig = Rig(path, House(tmp_path), Checker())
    with socket.socket(socket.AF_UNIX) as inherited:
        inherited.bind(str(path))
        inherited.listen()
        place = f"fd:{os.dup(inherited.fileno())}"
        with listening("login.socket", place, 0o600, None) as listener:
            server = LoginServer(listener, rig.checker, [os.getuid()], 4)
            server.serve(ServiceGate(rig.house.service, rig.statistics), lambda error: None)
            assert rig.ask(request()).endswith(b"OK (from above)")
            server.stop()
            with pytest.raises(TimeoutError):
                rig.ask(request(), timeout=0.2)
        assert rig.checker.asked == ["joe"]
