"""Which answers of a frontend and of the master make a yes, a no, and neither."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import cast

import pytest

from autocreate.errors import AutocreateError, Refused, Temporary, Unreachable
from autocreate.mailstore.cyrus import Cyrus
from autocreate.mailstore.cyrus_tree import Inbox
from autocreate.mailstore.mailbox_ids import SiteIds
from autocreate.mailstore.memory import Memory
from autocreate.murder import stream
from autocreate.murder.frontend import Frontend
from autocreate.murder.master import Master
from autocreate.murder.names import Entry, State, stored_inbox
from autocreate.murder.store import Murder
from autocreate.murder.wire import Mupdate
from autocreate.tree.actions import CreateMailbox, SetQuota
from autocreate.tree.plan import ApplyResult, Plan
from autocreate.tree.values import Folder, Quota, Tree

INBOX = CreateMailbox(())
QUOTA = SetQuota(Quota(1024))


class Servers:
    """A frontend and a master that say what a test sets; backends over memory."""

    def __init__(self) -> None:
        self.listed = self.known = False
        self.refusal: AutocreateError | None = None
        self.failure: AutocreateError | None = None
        self.entry: Entry | None = None
        self.entry_after: Entry | None = None
        self.created: list[tuple[str | None, str | None]] = []
        self.id = ""  # of the INBOX that is created
        self.ids = SiteIds()
        self.b1, self.b2 = Backend(), Backend()

    def murder(self) -> Murder:
        backends = {"b1": cast(Cyrus, self.b1), "b2": cast(Cyrus, self.b2)}
        return Murder(cast(Master, self), cast(Frontend, self), backends, "frontend", self.ids)

    def has(self, state: State = State.ACTIVE, server: str = "b1") -> Entry:
        self.entry = Entry(stored_inbox("joe"), state, server, "default")
        return self.entry

    # As the master.

    def find(self, user: str) -> Entry | None:
        if self.failure:
            raise self.failure
        return self.entry

    def connect(self) -> Mupdate:
        return cast(Mupdate, Changes())

    def close(self) -> None:
        pass

    # As the frontend.

    def __str__(self) -> str:
        return "the frontend"

    def lists(self, user: str) -> Entry | None:
        return Entry(stored_inbox("joe"), State.ACTIVE, "b1") if self.listed else None

    def knows(self, user: str) -> bool:
        return self.known

    def create(
        self, user: str, special_use: str | None, server: str | None, partition: str | None
    ) -> str | None:
        self.created.append((server, partition))
        if self.entry_after:
            self.entry = self.entry_after
        if self.refusal:
            raise self.refusal
        self.has(server=server or "b1")
        return self.id


class Changes:
    """A session with the master, which tells once that joe's name is reserved."""

    def __init__(self) -> None:
        self._news = [Entry(stored_inbox("joe"), State.RESERVED, "b1")]

    def listed(self) -> Iterator[Entry]:
        return iter(())

    def changes(self) -> Iterator[Entry]:
        while self._news:
            yield self._news.pop()

    def discard(self) -> None:
        pass


class Backend(Memory):
    """Args: inbox: what it was told about the INBOX of the last plan."""

    inbox: Inbox | None = None

    def apply(self, plan: Plan, inbox: Inbox = Inbox.OLDER) -> ApplyResult:
        self.inbox = inbox
        return super().apply(plan)

    def free_space(self) -> int:
        return 1


@pytest.fixture
def servers() -> Servers:
    return Servers()


def test_the_frontends_yes_is_enough(servers: Servers) -> None:
    servers.listed = True
    servers.failure = Unreachable("the master is away")
    assert servers.murder().exists("joe")


def test_the_no_of_both_is_a_no(servers: Servers) -> None:
    assert not servers.murder().exists("joe")
    servers.murder().confirm_missing("joe")


def test_without_the_master_there_is_no_no(servers: Servers) -> None:
    servers.failure = Unreachable("the master is away")
    for ask in (servers.murder().exists, servers.murder().confirm_missing):
        with pytest.raises(Temporary, match="the master is away"):
            ask("joe")


def test_what_the_master_has_the_frontend_must_know(servers: Servers) -> None:
    servers.has()
    with pytest.raises(Temporary, match="the frontend is behind the MUPDATE master"):
        servers.murder().exists("joe")
    servers.known = True
    assert servers.murder().exists("joe")


def test_a_reserved_name_is_neither_there_nor_surely_missing(servers: Servers) -> None:
    servers.has(State.RESERVED)
    assert not servers.murder().exists("joe")
    with pytest.raises(Temporary, match="reserved at b1"):
        servers.murder().confirm_missing("joe")


def test_who_had_an_inbox_a_moment_ago_is_being_moved_and_not_new(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_INTERVAL", 0.01)
    servers.has(State.RESERVED, "b1")
    servers.b2.trees["joe"] = Tree((Folder(),))
    heard = threading.Event()
    with contextlib.closing(servers.murder()) as murder:
        murder.follow(lambda _user: heard.set(), lambda: None)
        assert heard.wait(20.0)
        with pytest.raises(Temporary, match="b2 has it: it is being created or moved"):
            murder.exists("joe")
        del servers.b2.trees["joe"]
        assert not murder.exists("joe")


def test_a_creation_goes_through_the_frontend_and_the_rest_to_the_backend(
    servers: Servers,
) -> None:
    servers.known = True
    inbox = CreateMailbox((), None, "fast", server="b2", why="said so")
    servers.b2.trees["joe"] = Tree((Folder(),))
    result = servers.murder().apply(Plan("joe", "p", (inbox, QUOTA)))
    assert result.done == (inbox, QUOTA)
    assert servers.created == [("b2", "fast")]
    assert servers.b2.trees["joe"].quota == Quota(1024)
    assert servers.b1.trees == {}
    assert servers.b2.inbox is Inbox.CREATED


def test_inbox_fails_if_the_frontend_does_not_know_it_afterwards(servers: Servers) -> None:
    result = servers.murder().apply(Plan("joe", "p", (INBOX, QUOTA)))
    assert not result.usable
    assert "is behind the MUPDATE master" in result.failed[0].error
    assert servers.b1.trees == {}


def test_who_was_faster_elsewhere_has_won(servers: Servers) -> None:
    servers.known = True
    servers.refusal = Refused("CREATE: unable to reserve mailbox on mupdate server")
    servers.entry_after = Entry(stored_inbox("joe"), State.ACTIVE, "b2")
    servers.b2.trees["joe"] = Tree((Folder(),))
    assert servers.murder().apply(Plan("joe", "p", (INBOX, QUOTA))).usable
    assert servers.b2.inbox is Inbox.CREATED_BY_ANOTHER
    servers.entry_after = servers.entry = None
    result = servers.murder().apply(Plan("joe", "p", (INBOX,)))
    assert "unable to reserve" in result.failed[0].error


def test_an_inbox_that_got_the_id_of_another_mailbox_of_its_backend_is_no_creation(
    servers: Servers,
) -> None:
    servers.id, servers.known = "a1", True
    servers.ids.at("b1").given("a1", "user/ann/Sent", "ann")
    murder = servers.murder()
    (failure,) = murder.apply(Plan("joe", "p", (INBOX,))).failed
    assert "to user/ann/Sent and to the INBOX of joe: they share their files" in failure.error
    with pytest.raises(Temporary, match="share their files"):
        murder.exists("joe")


def test_an_id_that_two_backends_gave_stops_no_mail(servers: Servers) -> None:
    servers.id, servers.known = "a1", True
    servers.ids.at("b2").given("a1", "user/ann", "ann")
    murder = servers.murder()
    assert murder.apply(Plan("joe", "p", (INBOX,))).failed == ()
    assert murder.exists("joe")


def test_a_creation_that_was_broken_off_is_finished_where_the_name_is_reserved(
    servers: Servers,
) -> None:
    servers.known = True
    servers.has(State.RESERVED, "b2")
    assert servers.murder().apply(Plan("joe", "p", (INBOX,))).usable
    assert list(servers.b2.trees) == ["joe"]
    assert servers.created == []


def test_a_user_who_is_being_moved_is_left_alone(servers: Servers) -> None:
    servers.known = True
    servers.has(State.RESERVED, "b2")
    servers.b1.trees["joe"] = Tree((Folder(),))
    result = servers.murder().apply(Plan("joe", "p", (INBOX,)))
    assert "it is being created or moved" in result.failed[0].error
    assert servers.b2.trees == {}


def test_a_plan_names_the_backend_and_why(servers: Servers) -> None:
    def described(*actions: CreateMailbox) -> list[str]:
        plan = servers.murder().placed(Plan("joe", "p", actions))
        return [action.description for action in plan.actions]

    assert described(INBOX) == ["create INBOX at a backend (the frontend's serverlist decides)"]
    assert described(CreateMailbox((), server="b2"), CreateMailbox(("Sent",))) == [
        "create INBOX at b2 (its account or its policy names it)",
        "create Sent",
    ]
    servers.has(State.RESERVED, "b1")
    assert described(INBOX) == ["create INBOX at b1 (reserved at b1)"]


def test_it_says_where_an_inbox_is(servers: Servers) -> None:
    assert servers.murder().where("joe") == ""
    servers.has(server="b2")
    assert servers.murder().where("joe") == "active at b2, by the MUPDATE master"


def test_a_backend_that_is_not_configured_is_named(servers: Servers) -> None:
    with pytest.raises(Temporary, match=r"'b9' is none of \[cyrus.murder\] backends \(b1, b2\)"):
        servers.murder().placed(Plan("joe", "p", (CreateMailbox((), server="b9"),)))


def test_without_the_master_the_frontends_list_says_where_a_known_user_is(
    servers: Servers,
) -> None:
    servers.b1.trees["joe"] = Tree((Folder(),), Quota(7))
    servers.failure = Unreachable("the master is away")
    with pytest.raises(Temporary, match="the master is away"):
        servers.murder().observe("joe", Tree((Folder(),)))
    servers.listed = True
    assert servers.murder().observe("joe", Tree((Folder(),))).quota == Quota(7)
