"""When an unfinished tree is tried again, and whether it can wait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autocreate.errors import Temporary
from autocreate.model import LMTP, Address, Answer, Verdict
from autocreate.service.journal import Entry, Journal
from autocreate.service.unfinished import Unfinished
from autocreate.tree.plan import Plan
from tests.unit.clock import Clock

JOE = Address("joe", "example.org")
NOTHING_TO_DO = Verdict(Answer.UNKNOWN, "no account source knows this user", "joe")


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Iterator[Journal]:
    journal = Journal(f"sqlite:///{tmp_path}/journal.db", clock)
    yield journal
    journal.close()


@pytest.fixture
def unfinished(journal: Journal, clock: Clock) -> Unfinished:
    return Unfinished(journal, clock)


def noted(journal: Journal) -> Entry:
    entry = journal.entry("joe")
    assert entry is not None
    return entry


def test_a_tree_that_is_being_made_is_left_alone_for_a_minute(
    journal: Journal, unfinished: Unfinished, clock: Clock
) -> None:
    entry = unfinished.begin("joe", JOE, LMTP)
    assert entry == noted(journal) == Entry("joe", "joe@example.org", next_try=clock.now + 60.0)
    assert unfinished.due(everything=False) == []
    clock.now += 60.0
    assert unfinished.due(everything=False) == [entry]


def test_a_user_who_could_not_be_looked_at_is_due_at_once(
    journal: Journal, unfinished: Unfinished
) -> None:
    unfinished.schedule(JOE, "joe", "imap", "no answer in time")
    assert unfinished.due(everything=False) == [noted(journal)]
    assert unfinished.begun("joe") is None


def test_each_attempt_doubles_the_pause_until_it_is_six_hours(
    journal: Journal, unfinished: Unfinished, clock: Clock
) -> None:
    entry = unfinished.begin("joe", JOE, LMTP)
    pauses = []
    for _ in range(11):
        unfinished.postpone(entry, "over quota")
        entry = noted(journal)
        pauses.append(entry.next_try - clock.now)
    assert pauses == [60, 120, 240, 480, 960, 1920, 3840, 7680, 15360, 21600, 21600]
    assert (entry.attempts, entry.error) == (11, "over quota")


@pytest.mark.parametrize(
    ("entry", "service", "can_wait"),
    [
        (Entry("joe", "joe", usable=True, next_try=30.0), LMTP, True),
        (Entry("joe", "joe", usable=True, next_try=0.0), LMTP, False),  # due
        (Entry("joe", "joe", usable=True, next_try=86400.0), LMTP, False),  # by a wrong clock
        (Entry("joe", "joe", next_try=30.0), LMTP, False),  # INBOX or its quota may be missing
        (Entry("joe", "joe", next_try=30.0), "imap", True),  # another process may be at it
        (Entry("joe", "joe", attempts=1, next_try=30.0), "imap", False),
    ],
)
def test_what_can_wait(
    unfinished: Unfinished, clock: Clock, entry: Entry, service: str, can_wait: bool
) -> None:
    entry = replace(entry, next_try=clock.now + entry.next_try)
    assert unfinished.can_wait(entry, service) is can_wait


def test_a_login_proves_an_account_for_an_hour_however_often_it_was_tried(
    journal: Journal, unfinished: Unfinished, clock: Clock
) -> None:
    unfinished.schedule(JOE, "joe", "imap", "no answer in time")
    begun = clock.now
    while not unfinished.is_expired(noted(journal)):
        unfinished.postpone(noted(journal), "Cyrus is away")
        clock.now = noted(journal).next_try
    assert clock.now - begun == 60 + 120 + 240 + 480 + 960 + 1920


def test_an_entry_with_nothing_left_to_do_is_struck_out_and_told_if_a_tree_was_begun(
    journal: Journal, unfinished: Unfinished, caplog: pytest.LogCaptureFixture
) -> None:
    unfinished.schedule(JOE, "joe", "imap", "no answer in time")
    unfinished.conclude(noted(journal), NOTHING_TO_DO)
    assert (journal.entry("joe"), caplog.text) == (None, "")
    unfinished.begin("joe", JOE, LMTP)
    unfinished.conclude(noted(journal), NOTHING_TO_DO)
    assert journal.entry("joe") is None
    assert "joe: unfinished tree dropped from the journal: no account source knows" in caplog.text


def test_an_attempt_that_carried_out_a_plan_has_noted_its_end_already(
    journal: Journal, unfinished: Unfinished
) -> None:
    entry = unfinished.begin("joe", JOE, LMTP)
    unfinished.conclude(entry, replace(NOTHING_TO_DO, plan=Plan("joe", "everyone")))
    assert noted(journal) == entry


def test_a_journal_that_cannot_be_used_stops_what_must_know_and_nothing_else(
    journal: Journal, unfinished: Unfinished, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry = unfinished.begin("joe", JOE, LMTP)
    journal.close()
    for file in tmp_path.glob("journal.db*"):
        file.write_bytes(b"overwritten by an accident" * 1000)
    assert unfinished.begun("joe") is None
    assert unfinished.count() is None
    unfinished.finish("joe", ())
    unfinished.postpone(entry, "over quota")
    assert "joe: tree complete, but its journal entry remains: journal" in caplog.text
    assert "joe: retry time not updated in the journal: journal" in caplog.text
    with pytest.raises(Temporary):
        unfinished.begun("joe", must_know=True)
    with pytest.raises(Temporary):
        unfinished.begin("ann", JOE, LMTP)
    with pytest.raises(Temporary):
        unfinished.due(everything=True)
