"""The marks of the watch and the leases, in each kind of journal."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from autocreate.service.journal import Journal
from autocreate.service.journal_leases import Duty

from .journals import SERVERS, new_journal

SECONDS = 30.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", *SERVERS])
def journal(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Journal]:
    with new_journal(request.param) as url:
        made = Journal(url, clock)
        yield made
        made.close()


def test_a_text_is_kept_replaced_and_dropped(journal: Journal) -> None:
    watch = journal.watch
    assert watch.get("mark:staff") is None
    for value in ("1", "1", "2"):
        watch.put("mark:staff", value)
        assert watch.get("mark:staff") == value
    watch.drop("mark:staff")
    assert watch.get("mark:staff") is None


def test_the_lease_has_one_holder_until_its_time_is_over(journal: Journal, clock: Clock) -> None:
    lease = journal.lease(Duty.WATCH)
    assert lease.take("one", SECONDS)
    assert not lease.take("two", SECONDS)
    clock.now += SECONDS / 2
    assert lease.take("one", SECONDS)
    clock.now += SECONDS - 1
    assert not lease.take("two", SECONDS)
    clock.now += 1
    assert lease.take("two", SECONDS)
    assert not lease.take("one", SECONDS)


def test_a_lease_that_was_given_up_is_free_but_only_its_holder_can(journal: Journal) -> None:
    lease = journal.lease(Duty.WATCH)
    assert lease.take("one", SECONDS)
    lease.release("two")
    assert not lease.take("two", SECONDS)
    lease.release("one")
    assert lease.take("two", SECONDS)


def test_a_lease_of_a_clock_that_was_far_ahead_is_free(journal: Journal, clock: Clock) -> None:
    clock.now += 86400
    assert journal.lease(Duty.WATCH).take("one", SECONDS)
    clock.now -= 86400
    assert journal.lease(Duty.WATCH).take("two", SECONDS)


def test_of_many_who_want_it_at_once_one_gets_it(journal: Journal) -> None:
    names = [f"process{number}" for number in range(8)]
    with ThreadPoolExecutor(len(names)) as threads:
        taken = list(threads.map(lambda name: journal.lease(Duty.WATCH).take(name, SECONDS), names))
    assert sum(taken) == 1


def test_each_duty_has_a_lease_of_its_own_which_says_who_has_it(journal: Journal) -> None:
    watch, retries = journal.lease(Duty.WATCH), journal.lease(Duty.RETRIES)
    assert watch.holder() == ""
    assert watch.take("one", SECONDS)
    assert retries.take("two", SECONDS)
    assert not retries.take("one", SECONDS)
    assert (watch.holder(), retries.holder()) == ("one", "two")
