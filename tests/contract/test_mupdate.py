"""What is asked of a MUPDATE master: the same of one that a test scripts and of Cyrus's own."""

from __future__ import annotations

import contextlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autocreate.errors import (
    AutocreateError,
    NotLetIn,
    PlainNotOffered,
    ServerTimeout,
    Temporary,
    Unreachable,
)
from autocreate.murder.master import Master
from autocreate.murder.names import Entry, State, stored_inbox
from autocreate.murder.wire import Mupdate, MupdateServer
from tests.servers import mupdate
from tests.servers.common import HOST, free_port, greets, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.murder import ADMIN, ADMIN_PASSWORD, MUPDATE, Murder
from tests.servers.tls import make_certificate

_numbers = itertools.count(1)


class Place(ABC):
    """A Murder as its master tells of it. Its backends are `servers`."""

    server: MupdateServer
    servers: tuple[str, str]

    def new_user(self, domain: str = "") -> str:
        return f"mup.{next(_numbers)}"

    @abstractmethod
    def create(self, user: str, on: str) -> None: ...

    @abstractmethod
    def delete(self, user: str) -> None: ...

    @abstractmethod
    def move(self, user: str, to: str) -> None: ...


class Fake(Place):
    servers = ("b1", "b2")

    def __init__(self, master: mupdate.FakeMaster) -> None:
        self._master = master
        self.server = fake_server(master)

    def create(self, user: str, on: str) -> None:
        self._master.put(stored_inbox(user), f"{on}!default")

    def delete(self, user: str) -> None:
        self._master.remove(stored_inbox(user))

    def move(self, user: str, to: str) -> None:
        self._master.put(stored_inbox(user), f"{to}!default")


class Real(Place):
    def __init__(self, murder: Murder) -> None:
        self._murder = murder
        first, second = murder.backends
        self.servers = (first.host, second.host)
        self.server = MupdateServer(
            murder.master.host, MUPDATE, "none", ADMIN, ADMIN_PASSWORD, timeout=5.0
        )

    def create(self, user: str, on: str) -> None:
        self._murder.backend(on).create(f"user/{user}")

    def delete(self, user: str) -> None:
        (home,) = self._murder.home(user)
        self._murder.backend(home).delete(f"user/{user}")

    def move(self, user: str, to: str) -> None:
        (home,) = self._murder.home(user)
        self._murder.backend(home).move(f"user/{user}", to)


def fake_server(master: mupdate.FakeMaster, password: str = mupdate.PASSWORD) -> MupdateServer:
    return MupdateServer(HOST, master.port, "none", mupdate.ADMIN, password, timeout=1.0)


@pytest.fixture(scope="module", params=["fake", "real"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "real":
        yield Real(request.getfixturevalue("murder"))
        return
    with mupdate.FakeMaster() as master:
        yield Fake(master)


@pytest.fixture
def master(place: Place) -> Iterator[Master]:
    with contextlib.closing(Master(place.server, 2)) as made:
        yield made


def test_the_master_knows_where_a_mailbox_is(place: Place, master: Master) -> None:
    for server in place.servers:
        user = place.new_user()
        assert master.find(user) is None
        place.create(user, on=server)
        found = master.find(user)
        assert found == Entry(stored_inbox(user), State.ACTIVE, server, "default")
        assert found.user == user
        place.delete(user)
        assert master.find(user) is None


def test_it_lists_every_inbox(place: Place, master: Master) -> None:
    first, second = place.new_user(), place.new_user()
    place.create(first, on=place.servers[0])
    place.create(second, on=place.servers[1])
    listed = {entry.user: entry.server for entry in master.inboxes()}
    assert (listed[first], listed[second]) == place.servers
    assert master.find(first)  # a listing leaves other connections alone


def test_its_stream_tells_of_every_creation_move_and_deletion(place: Place) -> None:
    before, after = place.new_user(), place.new_user()
    here, there = place.servers
    place.create(before, on=here)
    with contextlib.closing(Mupdate(place.server)) as session:
        assert before in {entry.user for entry in session.listed()}
        assert not [it for it in session.changes() if it.user in (before, after)]

        place.create(after, on=here)
        assert (State.ACTIVE, here) in told(session, after)
        place.move(after, to=there)
        assert (State.ACTIVE, there) in told(session, after)
        place.delete(before)
        assert told(session, before)[-1] == (State.DELETED, "")


def told(session: Mupdate, user: str) -> list[tuple[State, str]]:
    """What one NOOP brings about a user."""
    return [(it.state, it.server) for it in session.changes() if it.user == user]


def test_a_wrong_password_is_told_from_an_outage(place: Place) -> None:
    server = place.server
    wrong = MupdateServer(server.host, server.port, "none", server.admin, "wrong", timeout=10.0)
    with pytest.raises(NotLetIn, match=r"compare admin and password_file of \[cyrus.murder\]"):
        Mupdate(wrong)


# -- what only one that a test scripts can do --------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (b"", Unreachable, "dropped the connection"),
        (b'* BYE "no longer ready"\r\n', Unreachable, "ended the session .no longer ready"),
        (b"TAG MAILBOX {999999999+}\r\n", Unreachable, "answered nonsense"),
        (b"TAG MAILBOX user.joe\r\nTAG OK done\r\n", Unreachable, "answered nonsense"),
        (b"TAG MAILBOX user.kim b1!a acl\r\nTAG OK done\r\n", Unreachable, "answered nonsense"),
        (b"TAG SHRUG user.joe\r\nTAG OK done\r\n", Unreachable, "answered nonsense"),
        (b'TAG MAILBOX "user.joe\r\n', Unreachable, "answered nonsense"),
        (b"OK\r\n", Unreachable, "answered nonsense"),
        (b"TAG MAILBOX " + b"a " * 100 + b"\r\n", Unreachable, "answered nonsense"),
        (b'TAG NO "not now"\r\n', AutocreateError, "not now"),
    ],
)
def test_what_makes_no_sense_is_no_answer(
    answer: bytes, error: type[AutocreateError], words: str
) -> None:
    with mupdate.FakeMaster() as fake, contextlib.closing(Master(fake_server(fake), 1)) as master:
        fake.answer = answer or b"\r"
        with pytest.raises(error, match=words):
            master.find("joe")


def test_a_reserved_name_is_no_mailbox_and_not_free() -> None:
    with mupdate.FakeMaster() as fake, contextlib.closing(Master(fake_server(fake), 1)) as master:
        fake.reserve("user.joe", "b1!default")
        assert master.find("joe") == Entry("user.joe", State.RESERVED, "b1", "default")
        assert list(master.inboxes()) == []


def test_a_slave_is_not_taken_for_the_master() -> None:
    with (
        mupdate.FakeMaster(role="mupdate://the-master") as fake,
        pytest.raises(Unreachable, match="is no master but a slave of mupdate://the-master"),
    ):
        Mupdate(fake_server(fake))


def test_a_slave_is_asked_as_one() -> None:
    with mupdate.FakeMaster(role="mupdate://the-master") as fake:
        fake.put("user.joe", "b1!default")
        slave = replace(fake_server(fake), is_slave=True)
        with contextlib.closing(Master(slave, 1)) as own_list:
            assert own_list.find("joe") == Entry("user.joe", State.ACTIVE, "b1", "default")


def test_a_frontends_slave_knows_what_the_master_knows(murder: Murder) -> None:
    user = f"mup.{next(_numbers)}"
    murder.backends[1].create(f"user/{user}")
    murder.wait_until_in_step()
    frontend = murder.frontends[0]
    slave = MupdateServer(
        *(frontend.host, MUPDATE, "none", frontend.admin, frontend.admin_password), is_slave=True
    )
    with contextlib.closing(Master(slave, 1)) as own_list:
        found = own_list.find(user)
        assert found
        assert found.server == murder.backends[1].host
        assert own_list.find(f"{user}.not") is None


def test_a_password_is_not_sent_where_plain_is_not_offered() -> None:
    with mupdate.FakeMaster(mechanisms='"GSSAPI"') as fake:
        with pytest.raises(PlainNotOffered):
            Mupdate(fake_server(fake))
        assert fake.questions == []


def test_a_password_is_not_sent_without_tls_unless_that_was_allowed() -> None:
    with mupdate.FakeMaster() as fake:
        server = MupdateServer(HOST, fake.port, "starttls", mupdate.ADMIN, "x", timeout=1.0)
        with pytest.raises(Unreachable, match="offers no STARTTLS"):
            Mupdate(server)
        assert fake.questions == []


# -- what only a real one can do ---------------------------------------------------------------


def test_a_slave_of_a_real_murder_is_recognized(murder: Murder) -> None:
    frontend = murder.frontends[0].host
    server = MupdateServer(frontend, MUPDATE, "none", ADMIN, ADMIN_PASSWORD)
    with pytest.raises(Unreachable, match="is no master but a slave of mupdate://"):
        Mupdate(server)


def test_a_master_that_is_silent_stopped_and_back() -> None:
    with Murder() as murder:
        server = MupdateServer(
            murder.master.host, MUPDATE, "none", ADMIN, ADMIN_PASSWORD, timeout=1.0
        )
        with contextlib.closing(Master(server, 2)) as master:
            murder.frontends[0].create("user/joe")
            assert master.find("joe")
            murder.master.pause()
            with pytest.raises(ServerTimeout):
                master.find("joe")
            with pytest.raises(Temporary, match="is not retried yet"):
                master.find("joe")
            murder.master.resume()
            wait_until(lambda: _knows(master, "joe"), 20.0, "an answer")
            murder.master.stop()
            with pytest.raises(Temporary):
                master.find("nobody")
            murder.master.start()
            wait_until(lambda: _knows(master, "joe"), 20.0, "an answer")
            assert master.find("nobody") is None


def _knows(master: Master, user: str) -> bool:
    try:
        return master.find(user) is not None
    except Temporary:
        return False


def test_the_connection_is_secured_by_starttls_and_the_certificate_verified(
    tmp_path: Path,
) -> None:
    port = free_port()
    services = {"mupdate": ("mupdate -m", f"{HOST}:{port}")}
    with Cyrus(tls=True, services=services) as cyrus:
        wait_until(lambda: greets(port, b"* "), 20.0, "the master", cyrus.log)

        def server(ca_file: Path | None) -> MupdateServer:
            return MupdateServer(
                *(HOST, port, "starttls", cyrus.admin, cyrus.admin_password, str(ca_file)),
                timeout=5.0,
            )

        with contextlib.closing(Master(server(cyrus.ca_file), 1)) as master:
            assert master.find("joe") is None
        another = make_certificate(tmp_path).ca_file
        with pytest.raises(Unreachable, match=r"not trusted .*see \[cyrus.murder\] mupdate"):
            Mupdate(server(another))
