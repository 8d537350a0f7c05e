"""The notification socket: whose notifications count, what becomes of them, and who is told besides."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from autocreate.frontends import control_client
from autocreate.frontends.control import Control
from autocreate.frontends.events import Events
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.listener import listening
from autocreate.model import Login
from tests.servers.common import wait_until
from tests.unit.house import House


class Rig:
    def __init__(self, path: Path, house: House) -> None:
        self.path = path
        self.house = house

    def notify(self, datagram: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as cyrus:
            cyrus.sendto(datagram, str(self.path))

    def wait_for_tree(self, user: str) -> None:
        wait_until(lambda: user in self.house.store.trees, 10.0, f"the tree of {user}")


Start = Callable[..., AbstractContextManager[Rig]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    @contextmanager
    def started(
        peer: int = os.getuid(), notifyd: Path | None = None, milter: Path | None = None
    ) -> Iterator[Rig]:
        path = tmp_path / "notify"
        rig = Rig(path, House(tmp_path))
        place = f"unix:{path}"
        with listening("login.notify_socket", place, 0o600, None, socket.SOCK_DGRAM) as listener:
            events = Events(listener, [peer], notifyd, milter)
            events.serve(ServiceGate(rig.house.service), lambda error: None)
            try:
                yield rig
            finally:
                events.stop()

    return started


def event(**facts: object) -> bytes:
    return b"external\0EVENT\0\0\0\0000\0" + json.dumps(facts).encode() + b"\0"


def login(user: str) -> bytes:
    return event(event="Login", user=user, serverPort=143)


def deletion(user: str) -> bytes:
    return event(event="MailboxDelete", uri=f"imap://cyrus.test/user/{user};UIDVALIDITY=1")


def test_who_logs_in_gets_a_mailbox(start: Start) -> None:
    with start() as rig:
        rig.notify(login("joe"))
        rig.wait_for_tree("joe")


@pytest.mark.parametrize(
    "bad", [b"", b"\0" * 8192, b"\xff" * 100, login("j\0e"), event(event="Login"), b"x" * 8192]
)
def test_what_is_no_notification_is_dropped_and_the_next_is_followed(
    start: Start, bad: bytes
) -> None:
    with start() as rig:
        rig.notify(bad)
        rig.notify(login("joe"))
        rig.wait_for_tree("joe")
        assert list(rig.house.store.trees) == ["joe"]


def test_another_user_of_the_machine_is_not_believed(start: Start) -> None:
    with start(peer=os.getuid() + 1) as rig:
        logged_in = threading.Event()
        rig.house.service.log_in = lambda _login: logged_in.set()  # type: ignore[assignment, misc]
        rig.notify(login("joe"))
        assert not logged_in.wait(0.2)


def test_a_mailbox_that_goes_is_no_longer_remembered(start: Start) -> None:
    with start() as rig:
        rig.house.service.log_in(Login("joe", "imap"))
        assert "joe" in rig.house.mailboxes
        rig.notify(deletion("joe"))
        wait_until(lambda: "joe" not in rig.house.mailboxes, 10.0, "the notification")


def test_a_notifyd_that_takes_nothing_holds_up_nobody(start: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifyd:
        place = tmp_path / "notifyd"
        notifyd.bind(str(place))  # and never reads
        with start(notifyd=place) as rig:
            for _ in range(2000):
                rig.notify(event(event="Logout", user="joe"))
            rig.notify(login("joe"))
            rig.wait_for_tree("joe")
        assert notifyd.recv(8192) == event(event="Logout", user="joe")


def test_a_milter_of_its_own_is_told_which_mailboxes_go(start: Start, tmp_path: Path) -> None:
    place = tmp_path / "milter.control"
    (tmp_path / "milter").mkdir()
    milter = House(tmp_path / "milter")
    with listening("milter.control", f"unix:{place}", 0o600, None) as listener:
        answering = Control(listener)
        answering.serve(ServiceGate(milter.service), lambda error: None)
        with start(milter=place) as rig:
            milter.service.log_in(Login("joe", "imap"))
            rig.notify(deletion("joe"))
            wait_until(lambda: "joe" not in milter.mailboxes, 10.0, "the milter")
        answering.stop()


def test_a_milter_that_is_away_or_silent_holds_up_nobody(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_client, "TIMEOUT", 0.1)
    place = tmp_path / "milter.control"
    with socket.socket(socket.AF_UNIX) as silent, start(milter=place) as rig:
        rig.notify(deletion("ann"))
        silent.bind(str(place))
        silent.listen(1)
        for number in range(1100):
            rig.notify(deletion(f"user{number}"))
        rig.notify(login("joe"))
        rig.wait_for_tree("joe")
        silent.shutdown(socket.SHUT_RDWR)
