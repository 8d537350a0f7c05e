"""The lease and the marks of the watch, in each kind of journal."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from autocreate.service.journal import Journal

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
    watch = journal.watch
    assert watch.take("one", SECONDS)
    assert not watch.take("two", SECONDS)
    clock.now += SECONDS / 2
    assert watch.take("one", SECONDS)
    clock.now += SECONDS - 1
    assert not watch.take("two", SECONDS)
    clock.now += 1
    assert watch.take("two", SECONDS)
    assert not watch.take("one", SECONDS)


def test_a_lease_that_was_given_up_is_free_but_only_its_holder_can(journal: Journal) -> None:
    watch = journal.watch
    assert watch.take("one", SECONDS)
    watch.release("two")
    assert not watch.take("two", SECONDS)
    watch.release("one")
    assert watch.take("two", SECONDS)


def test_a_lease_of_a_clock_that_was_far_ahead_is_free(journal: Journal, clock: Clock) -> None:
    clock.now += 86400
    assert journal.watch.take("one", SECONDS)
    clock.now -= 86400
    assert journal.watch.take("two", SECONDS)


def test_of_many_who_want_it_at_once_one_gets_it(journal: Journal) -> None:
    names = [f"process{number}" for number in range(8)]
    with ThreadPoolExecutor(len(names)) as threads:
        taken = list(threads.map(lambda name: journal.watch.take(name, SECONDS), names))
    assert sum(taken) == 1
