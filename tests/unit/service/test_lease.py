"""The lease in the eyes of a process."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocreate.errors import Temporary
from autocreate.service.holders import holder_of
from autocreate.service.journal import Journal
from autocreate.service.journal_leases import Duty, JournalLease
from autocreate.service.lease import Lease
from tests.unit.clock import Clock


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(f"sqlite:///{tmp_path}/journal.db", time.time)
    yield made
    made.close()


def lease(journal: Journal, clock: Clock) -> Lease:
    return Lease("works", lambda: journal.lease(Duty.RETRIES), lambda: None, 30.0, clock)


def test_one_has_it_and_the_other_has_not(journal: Journal, clock: Clock) -> None:
    first, second = lease(journal, clock), lease(journal, clock)
    first.extend()
    second.extend()
    assert (first.is_ours, second.is_ours) == (True, False)


def test_it_is_lost_where_it_was_not_extended_in_time(journal: Journal, clock: Clock) -> None:
    first = lease(journal, clock)
    first.extend()
    clock.now += 30
    assert not first.is_ours


def test_a_journal_that_is_away_leaves_it_until_its_time_is_over(
    journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = lease(journal, clock)
    first.extend()

    def away(_self: JournalLease, _holder: str, _seconds: float) -> bool:
        raise Temporary("the journal is away")

    monkeypatch.setattr(JournalLease, "take", away)
    clock.now += 20
    first.extend()
    assert first.is_ours
    clock.now += 10
    first.extend()
    assert not first.is_ours


def test_it_is_given_up_at_the_end(journal: Journal, clock: Clock) -> None:
    first, second = lease(journal, clock), lease(journal, clock)
    first.extend()
    over = threading.Event()
    over.set()
    first.keep(over)
    second.extend()
    assert (first.is_ours, second.is_ours) == (False, True)


def test_who_does_not_want_it_does_not_take_it(journal: Journal, clock: Clock) -> None:
    unwilling = Lease("works", lambda: None, lambda: None, 30.0, clock)
    unwilling.extend()
    willing = lease(journal, clock)
    willing.extend()
    assert (unwilling.is_ours, willing.is_ours) == (False, True)


def test_a_change_is_told(journal: Journal, clock: Clock) -> None:
    changes: list[bool] = []
    first: Lease = Lease(
        "works",
        lambda: journal.lease(Duty.RETRIES),
        lambda: changes.append(first.is_ours),
        30.0,
        clock,
    )
    first.extend()
    first.extend()
    assert changes == [True]


def test_it_is_refreshed_when_a_third_of_its_time_is_over(
    journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[float] = []
    take = JournalLease.take

    def counted(self: JournalLease, holder: str, seconds: float) -> bool:
        taken.append(clock.now)
        return take(self, holder, seconds)

    monkeypatch.setattr(JournalLease, "take", counted)
    first = lease(journal, clock)
    begun = clock.now
    for _ in range(25):
        assert first.refresh()
        clock.now += 1.0
    assert taken == [begun, begun + 10.0, begun + 20.0]


def test_that_of_a_process_of_this_machine_that_has_died_is_free(
    journal: Journal, clock: Clock
) -> None:
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    record = journal.lease(Duty.RETRIES)
    assert record.take(holder_of(dead.pid), 30.0)
    assert lease(journal, clock).refresh()


def test_that_of_a_process_elsewhere_is_not(journal: Journal, clock: Clock) -> None:
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    elsewhere = holder_of(dead.pid).replace("pid:[", "pid:[1")
    assert journal.lease(Duty.RETRIES).take(elsewhere, 30.0)
    assert not lease(journal, clock).refresh()
