"""One process at a time makes a new mailbox: who holds it, who waits, and who takes over."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocreate.errors import Temporary
from autocreate.service import creations as module
from autocreate.service.creations import (
    Creations,
    is_for_new,
    released,
    still_due,
)
from autocreate.service.holders import holder_of
from autocreate.service.journal import Entry, Journal
from autocreate.service.journal_creations import Creation
from autocreate.tree.actions import CreateMailbox, DeliverWelcome, Subscribe
from autocreate.tree.plan import ApplyResult, Failure, Plan
from autocreate.tree.values import Hook, Welcome
from tests.unit.clock import Clock

WELCOME = DeliverWelcome(Welcome(b"", "welcome.eml"))
INBOX = CreateMailbox(())
HOOK = Hook(("/bin/true",))
HELD = Creation("joe", "here:1", 120.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Iterator[Journal]:
    journal = Journal(f"sqlite:///{tmp_path}/journal.db", clock)
    yield journal
    journal.close()


def begin(journal: Journal, by: Creations, user: str = "joe") -> Creation:
    creation = by.new(user)
    journal.begin(Entry(user, user), creation)
    return creation


def test_who_begins_holds(journal: Journal, clock: Clock) -> None:
    one = Creations(journal, clock, "one:1")
    assert one.held("joe") is None
    creation = begin(journal, one)
    assert one.held("joe") == creation
    journal.finish("joe")
    assert one.held("joe") is None


def test_another_waits_and_hears_that_it_is_finished(journal: Journal, clock: Clock) -> None:
    begin(journal, Creations(journal, clock, "one:1"))
    threading.Timer(0.2, journal.finish, ["joe"]).start()
    assert Creations(journal, clock, "other:1").held("joe") is None


def test_another_waits_and_goes_on_with_what_was_left(journal: Journal, clock: Clock) -> None:
    one = begin(journal, Creations(journal, clock, "one:1"))
    left = released(one, ApplyResult(Plan("joe", "p", (INBOX, WELCOME))))
    threading.Timer(0.2, journal.fail, [Entry("joe", "joe"), (), left]).start()
    held = Creations(journal, clock, "other:1").held("joe")
    assert held is not None
    assert (held.holder, held.welcomed) == ("other:1", True)


def test_one_that_never_ends_is_not_waited_for_for_ever(
    journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAIT", 0.1)
    begin(journal, Creations(journal, clock, "one:1"))
    other = Creations(journal, clock, "other:1")
    with pytest.raises(Temporary, match=r"is being created by another process \(one:1\)"):
        other.held("joe")
    clock.now += 121
    held = other.held("joe")
    assert held is not None
    assert held.holder == "other:1"


def test_one_of_this_machine_that_has_died_is_passed_over_at_once(
    journal: Journal, clock: Clock
) -> None:
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    begin(journal, Creations(journal, clock, holder_of(dead.pid)))
    assert Creations(journal, clock, "other:1").held("joe") is not None


def test_one_of_this_machine_that_lives_is_not(
    journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAIT", 0.1)
    begin(journal, Creations(journal, clock, holder_of(os.getpid())))
    with pytest.raises(Temporary):
        Creations(journal, clock, "other:1").held("joe")


def test_one_of_another_container_is_not_looked_for_here(
    journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAIT", 0.1)
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    elsewhere = holder_of(dead.pid).replace("pid:[", "pid:[1")
    begin(journal, Creations(journal, clock, elsewhere))
    with pytest.raises(Temporary):
        Creations(journal, clock, "other:1").held("joe")


def test_a_reload_is_the_same_process(journal: Journal, clock: Clock) -> None:
    creation = begin(journal, Creations(journal, clock))
    assert Creations(journal, clock).held("joe") == creation


def test_a_time_of_a_wrong_clock_holds_nobody_up(journal: Journal, clock: Clock) -> None:
    clock.now += 10_000
    begin(journal, Creations(journal, clock, "one:1"))
    clock.now -= 10_000
    assert Creations(journal, clock, "other:1").held("joe") is not None


def test_a_second_beginning_keeps_the_first(journal: Journal, clock: Clock) -> None:
    first = begin(journal, Creations(journal, clock, "one:1"))
    begin(journal, Creations(journal, clock, "other:1"))
    assert journal.creations.of("joe") == first


def test_a_login_that_was_only_noted_becomes_a_creation(journal: Journal, clock: Clock) -> None:
    journal.begin(Entry("joe", "joe", begun=False))
    creation = begin(journal, Creations(journal, clock, "one:1"))
    assert journal.creations.of("joe") == creation


def test_an_existing_mailbox_that_is_updated_is_none(journal: Journal) -> None:
    journal.begin(Entry("joe", "joe", usable=True))
    assert journal.creations.of("joe") is None


NEW = Plan("joe", "p", (INBOX, WELCOME, Subscribe(())), HOOK)


def test_what_nobody_has_done_is_done() -> None:
    assert still_due(NEW, HELD, lambda _user: False) == NEW


def test_an_inbox_that_exists_by_now_is_not_for_this_plan_to_create() -> None:
    due = still_due(NEW, HELD, lambda _user: True)
    assert due.actions == (WELCOME, Subscribe(()))
    assert due.hook == HOOK


def test_what_another_has_delivered_is_not_delivered_again() -> None:
    held = Creation("joe", "here:1", 120.0, welcomed=True)
    assert still_due(NEW, held, lambda _user: True).actions == (Subscribe(()),)


def test_what_another_has_finished_leaves_no_message_and_no_hook() -> None:
    due = still_due(NEW, None, lambda _user: True)
    assert due == Plan("joe", "p", (Subscribe(()),))


def test_a_mailbox_that_was_deleted_since_gets_its_message_again() -> None:
    held = Creation("joe", "here:1", 120.0, welcomed=True)
    assert still_due(NEW, held, lambda _user: False) == NEW


def test_only_a_message_or_a_hook_is_for_new_mailboxes_alone() -> None:
    assert is_for_new(Plan("joe", "p", (WELCOME,)))
    assert is_for_new(Plan("joe", "p", (), HOOK))
    assert not is_for_new(Plan("joe", "p", (INBOX, Subscribe(()))))


def test_a_message_that_failed_is_still_owed() -> None:
    plan = Plan("joe", "p", (INBOX, WELCOME))
    failed = ApplyResult(plan, (Failure(WELCOME, "disk full"),))
    assert released(HELD, failed) == HELD
    assert released(None, failed) is None
