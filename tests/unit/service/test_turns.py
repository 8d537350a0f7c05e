"""Turns at a user: who waits, for how long, and what happens without a lock."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from autocreate.errors import Temporary
from autocreate.service.turns import Turns
from tests.unit.clock import Clock
from tests.unit.locks import FakeServer, FakeSession


class Sleep:
    """Moves the clock; `then` is called once at a time that a test chooses."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.pauses: list[float] = []
        self.at = float("inf")
        self.then: Callable[[], object] = lambda: None

    def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.now += seconds
        if self.clock.now >= self.at:
            self.at = float("inf")
            self.then()


@pytest.fixture
def sleep(clock: Clock) -> Sleep:
    return Sleep(clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def figures(turns: Turns) -> dict[str, float]:
    found = turns.snapshot()
    assert found is not None
    return found


def test_without_locks_every_turn_begins_at_once_and_nobody_is_known_to_be_alone() -> None:
    turns = Turns()
    assert not turns.are_shared
    with turns.turn("joe") as is_ours:
        assert not is_ours
    assert turns.snapshot() is None


def test_a_turn_waits_for_another_process_and_gives_the_lock_up(clock: Clock, sleep: Sleep) -> None:
    server = FakeServer()
    other, ours = FakeSession(server), FakeSession(server)
    assert other.take("joe")
    sleep.at, sleep.then = clock.now + 1.0, lambda: other.release("joe")
    turns = Turns(ours, 4.0, clock, sleep)
    with turns.turn("joe") as is_ours:
        assert is_ours
        assert not other.take("joe")
    assert other.take("joe")
    assert figures(turns)["waited"] == 1
    assert 1000 <= figures(turns)["wait_ms"] < 1200
    # It looks soon at first, and ten times a second in the end.
    assert sleep.pauses[0] == 0.01
    assert max(sleep.pauses) == 0.1


def test_a_process_that_takes_too_long_is_not_waited_for(
    clock: Clock, sleep: Sleep, caplog: pytest.LogCaptureFixture
) -> None:
    server = FakeServer()
    assert FakeSession(server).take("joe")
    turns = Turns(FakeSession(server), 4.0, clock, sleep)
    begun = clock.now
    with turns.turn("joe") as is_ours:
        assert not is_ours
    assert 4.0 <= clock.now - begun < 4.2
    assert figures(turns)["missed"] == 1
    assert "more than 4 s" in caplog.text


def test_a_turn_ends_with_an_error_of_the_work(clock: Clock, sleep: Sleep) -> None:
    server = FakeServer()
    turns = Turns(FakeSession(server), 4.0, clock, sleep)
    with pytest.raises(Temporary, match="Cyrus"), turns.turn("joe"):
        raise Temporary("Cyrus is away")
    assert FakeSession(server).take("joe")


class Away:
    """Locks of a database that is away."""

    def take(self, _name: str) -> bool:
        raise Temporary("the database is away")

    def release(self, _name: str) -> bool:
        raise AssertionError("nothing was taken")


def test_without_a_database_the_work_is_done_and_said_once_a_minute(
    clock: Clock, sleep: Sleep, caplog: pytest.LogCaptureFixture
) -> None:
    turns = Turns(Away(), 4.0, clock, sleep)
    for _ in range(3):
        with turns.turn("joe") as is_ours:
            assert not is_ours
    assert not sleep.pauses
    assert figures(turns)["failed"] == 3
    assert caplog.text.count("working without a lock: the database is away") == 1


def test_a_lock_that_was_lost_is_said(
    clock: Clock, sleep: Sleep, caplog: pytest.LogCaptureFixture
) -> None:
    session = FakeSession(FakeServer())
    with Turns(session, 4.0, clock, sleep).turn("joe"):
        session.close()
    assert "was lost before it was given up" in caplog.text


def test_a_lock_that_cannot_be_given_up_is_no_error(
    clock: Clock, sleep: Sleep, caplog: pytest.LogCaptureFixture
) -> None:
    class Leaving(FakeSession):
        def release(self, name: str) -> bool:
            raise Temporary("the database is away")

    with caplog.at_level(logging.INFO), Turns(Leaving(FakeServer()), 4.0, clock, sleep).turn("joe"):
        pass
    assert not caplog.records
