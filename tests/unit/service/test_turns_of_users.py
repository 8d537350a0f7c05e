"""Two MTAs with one Cyrus and one journal: who works on a user, and who takes the other's result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from autocreate.accounts.directory import Directory
from autocreate.core.naming import Users
from autocreate.core.policy import Policy
from autocreate.errors import Temporary
from autocreate.mailstore.memory import Memory
from autocreate.model import Address, Answer, Verdict
from autocreate.service.creations import Creations
from autocreate.service.journal import Entry, Journal
from autocreate.service.mailbox_cache import MailboxCache
from autocreate.service.policies import AccountRules
from autocreate.service.provisioner import Provisioner
from autocreate.service.turns import Locks, Turns
from autocreate.service.unfinished import Unfinished
from autocreate.service.work import DecisionRequest
from autocreate.tree.plan import ApplyResult, Plan
from autocreate.tree.values import Folder, Hook, Tree
from tests.servers.common import wait_until
from tests.unit.clock import Clock
from tests.unit.house import Accounts
from tests.unit.locks import FakeServer, FakeSession

JOE = Address("joe", "example.org")
EVERYONE = Policy("everyone", Tree((Folder(), Folder(("Sent",)))))


class SlowStore(Memory):
    """Counts what is applied, each of which waits while `open` is not set."""

    def __init__(self) -> None:
        super().__init__()
        self.applied: list[Plan] = []
        self.open = threading.Event()
        self.open.set()

    def apply(self, plan: Plan) -> ApplyResult:
        self.applied.append(plan)
        assert self.open.wait(30.0)
        return super().apply(plan)


class Mta:
    """One of them."""

    def __init__(
        self, folder: Path, store: Memory, server: FakeServer, locks: Locks, policy: Policy
    ) -> None:
        clock = Clock()
        self.journal = Journal(f"sqlite:///{folder}/journal.db", clock)
        self.news: list[str] = []
        self.asked: list[float] = []  # a pause each time a lock was held by another
        self._server = server
        self.turns = Turns(locks, 10.0, sleep=self._sleep)
        self.provisioner = Provisioner(
            AccountRules(Users(), (policy,), frozenset()),
            Directory([Accounts({"joe": []})]),
            store,
            Unfinished(self.journal, clock),
            # As on a machine of its own.
            Creations(self.journal, clock, f"host{id(self)}:1"),
            MailboxCache(100, 300.0),
            turns=self.turns,
            news=self.news.append,
        )

    def _sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        self._server.wait_for_release(seconds)

    def decide(self, service: str = "lmtp", entry: Entry | None = None) -> Verdict:
        return self.provisioner.decide(DecisionRequest(JOE, "joe", True, service, entry))


Build = Callable[..., Mta]


@pytest.fixture
def store() -> SlowStore:
    return SlowStore()


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def build(tmp_path: Path, store: SlowStore, server: FakeServer) -> Iterator[Build]:
    made: list[Mta] = []

    def build(locks: Locks | None = None, policy: Policy = EVERYONE) -> Mta:
        made.append(Mta(tmp_path, store, server, locks or FakeSession(server), policy))
        return made[-1]

    yield build
    for mta in made:
        mta.journal.close()


def test_the_second_waits_for_the_first_and_takes_its_result(
    build: Build, store: SlowStore
) -> None:
    first, second = build(), build()
    store.open.clear()
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first.decide)
        wait_until(lambda: store.applied, 5.0, "the first")
        two = pool.submit(second.decide)
        wait_until(lambda: second.asked, 5.0, "the second")
        assert not two.done()
        store.open.set()
        assert (one.result().reason, one.result().created) == ("created", True)
        assert (two.result().reason, two.result().created) == ("INBOX exists", False)
    assert two.result().answer is Answer.ACCEPT
    assert len(store.applied) == 1
    assert (first.news, second.news) == (["joe"], [])


def test_what_a_dead_mta_left_is_finished_by_the_one_that_waited(
    build: Build, store: SlowStore, server: FakeServer
) -> None:
    dying = FakeSession(server)
    assert dying.take("joe")
    second = build()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second.decide)
        wait_until(lambda: second.asked, 5.0, "the second")
        # It has made INBOX, and dies.
        second.journal.begin(Entry("joe", "joe@example.org", next_try=1_000_060.0))
        store.trees["joe"] = Tree((Folder(),))
        dying.close()
        verdict = waiting.result(10.0)
    assert (verdict.answer, verdict.reason) == (Answer.ACCEPT, "completed")
    assert second.journal.entry("joe") is None
    assert len(store.trees["joe"].folders) == 2


def test_what_another_has_left_for_a_retry_meanwhile_is_left_for_it(
    build: Build, store: SlowStore, server: FakeServer
) -> None:
    other = FakeSession(server)
    assert other.take("joe")
    mta = build()
    begun = Entry("joe", "joe@example.org", next_try=1_000_060.0)
    mta.journal.begin(begun)
    store.trees["joe"] = Tree((Folder(),))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(mta.decide)
        wait_until(lambda: mta.asked, 5.0, "the second")
        mta.journal.fail(replace(begun, usable=True, attempts=1, error="disk full"))
        other.release("joe")
        assert waiting.result(10.0).reason == "INBOX exists, the rest is retried later: disk full"
    assert not store.applied


def test_a_login_does_not_wait_for_the_tree_that_another_may_be_making(
    build: Build, store: SlowStore
) -> None:
    mta = build()
    mta.journal.begin(Entry("joe", "joe@example.org", next_try=1_000_060.0))
    store.trees["joe"] = Tree((Folder(),))
    assert mta.decide("imap").reason == "INBOX exists, the rest is being created"
    assert not store.applied


def test_a_new_mailbox_that_a_dead_mta_held_is_taken_over_at_once(build: Build) -> None:
    """Without the lock its row in `creations` keeps others out for two minutes."""
    policy = replace(EVERYONE, hook=Hook(("/bin/true",)))
    mta = build(policy=policy)
    elsewhere = Creations(mta.journal, Clock(), "elsewhere:1").new("joe")
    mta.journal.begin(Entry("joe", "joe@example.org", next_try=1_000_060.0), elsewhere)
    assert mta.decide().reason == "created"
    assert [hook.user for hook in mta.journal.creations.all_hooks()] == ["joe"]


def test_a_retry_of_what_another_has_finished_meanwhile_does_nothing(
    build: Build, store: SlowStore, server: FakeServer
) -> None:
    mta = build()
    entry = Entry("joe", "joe@example.org", attempts=1, next_try=1.0)
    mta.journal.begin(entry)
    store.trees["joe"] = Tree((Folder(),))
    other = FakeSession(server)
    assert other.take("joe")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(mta.decide, "lmtp", entry)
        wait_until(lambda: mta.asked, 5.0, "the retry")
        mta.journal.finish("joe")
        other.release("joe")
        assert waiting.result(10.0).reason == "INBOX exists"
    assert not store.applied


class Away:
    """Locks of a database that is away."""

    def take(self, _name: str) -> bool:
        raise Temporary("away")

    def release(self, _name: str) -> bool:
        raise AssertionError


def test_without_locks_both_do_the_work_and_both_accept(build: Build, store: SlowStore) -> None:
    first, second = build(Away()), build(Away())
    store.open.clear()
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(mta.decide) for mta in (first, second)]
        wait_until(lambda: len(store.applied) == 2, 5.0, "both")
        store.open.set()
        assert [it.result().answer for it in both] == [Answer.ACCEPT] * 2
    assert len(store.trees["joe"].folders) == 2


def test_a_user_whose_mailbox_exists_takes_no_lock(build: Build, store: SlowStore) -> None:
    mta = build()
    store.trees["joe"] = Tree((Folder(),))
    assert mta.decide().reason == "INBOX exists"
    assert (mta.turns.snapshot() or {})["taken"] == 0


def test_work_that_is_only_planned_takes_no_lock(build: Build) -> None:
    mta = build()
    mta.provisioner.decide(DecisionRequest(JOE, "joe", apply=False))
    assert (mta.turns.snapshot() or {})["taken"] == 0


def test_an_update_of_a_policy_takes_its_turn(build: Build, store: SlowStore) -> None:
    mta = build()
    store.trees["joe"] = Tree((Folder(),))
    mta.provisioner.apply(JOE, mta.provisioner.update(JOE, "joe", restore=False))
    assert (mta.turns.snapshot() or {})["taken"] == 1
