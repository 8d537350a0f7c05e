"""A server that is down is asked by one caller at a time."""

from __future__ import annotations

import contextlib
import threading

import pytest

from autocreate.errors import Refused, ServerTimeout, Temporary, Unreachable
from autocreate.resilience.breaker import Breaker
from tests.unit.clock import Clock


class Server:
    """Fails or answers as it is told, and counts how often it was asked."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        if self.error:
            raise self.error
        return "fine"


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("Cyrus at mail:143", first=1.0, longest=4.0, clock=clock)


def fail(breaker: Breaker, server: Server, error: BaseException | None = None) -> None:
    server.error = error or Unreachable("no route")
    with pytest.raises(type(server.error)):
        breaker.call(server)


def is_asked(breaker: Breaker, server: Server) -> bool:
    """Whether a call reaches the server, as it is now."""
    before = server.asked
    with contextlib.suppress(Temporary):
        breaker.call(server)
    return server.asked > before


def test_a_server_that_is_well_is_asked_by_everyone(breaker: Breaker, server: Server) -> None:
    assert [breaker.call(server) for _ in range(3)] == ["fine"] * 3


def test_after_a_failure_nobody_asks_for_a_while_and_the_error_says_why(
    breaker: Breaker, server: Server, clock: Clock
) -> None:
    fail(breaker, server)
    clock.now += 0.9
    with pytest.raises(
        Temporary, match="Cyrus at mail:143 is not retried yet; last error: no route"
    ):
        breaker.call(server)
    assert server.asked == 1


def test_when_the_while_is_over_a_success_lets_everyone_through_again(
    breaker: Breaker, server: Server, clock: Clock
) -> None:
    fail(breaker, server)
    clock.now += 1.0
    server.error = None
    assert breaker.call(server) == "fine"
    assert is_asked(breaker, server)


def test_each_failed_trial_doubles_the_while_up_to_the_longest(
    breaker: Breaker, server: Server, clock: Clock
) -> None:
    fail(breaker, server, ServerTimeout("no answer"))
    for pause in (1.0, 2.0, 4.0, 4.0):
        clock.now += pause - 0.1
        assert not is_asked(breaker, server)
        clock.now += 0.1
        assert is_asked(breaker, server)


def test_after_an_outage_the_while_is_short_again(
    breaker: Breaker, server: Server, clock: Clock
) -> None:
    fail(breaker, server)
    clock.now += 1.0
    fail(breaker, server)
    clock.now += 2.0
    server.error = None
    breaker.call(server)
    fail(breaker, server)
    clock.now += 1.0
    assert is_asked(breaker, server)


def test_a_refusal_is_an_answer(breaker: Breaker, server: Server, clock: Clock) -> None:
    fail(breaker, server)
    clock.now += 1.0
    fail(breaker, server, Refused("no"))
    server.error = None
    assert is_asked(breaker, server)


@pytest.mark.parametrize("error", [Temporary("all connections are busy"), ValueError("a defect")])
def test_an_error_that_says_nothing_about_the_server_changes_nothing(
    breaker: Breaker, server: Server, error: BaseException
) -> None:
    fail(breaker, server, error)
    server.error = None
    assert is_asked(breaker, server)


def test_a_trial_that_says_nothing_about_the_server_is_followed_by_another(
    breaker: Breaker, server: Server, clock: Clock
) -> None:
    fail(breaker, server)
    clock.now += 1.0
    fail(breaker, server, Temporary("all connections are busy"))
    server.error = None
    assert is_asked(breaker, server)


def test_many_calls_that_fail_in_one_outage_count_once(clock: Clock) -> None:
    breaker = Breaker("Cyrus", first=1.0, longest=100.0, clock=clock)
    inside = threading.Barrier(9)

    def work() -> None:
        inside.wait(10)
        inside.wait(10)
        raise Unreachable("gone")

    def call() -> None:
        with pytest.raises(Unreachable):
            breaker.call(work)

    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    inside.wait(10)
    inside.wait(10)
    for caller in callers:
        caller.join(10)
    clock.now += 1.0
    server = Server()
    assert is_asked(breaker, server)


def test_one_caller_is_the_trial_and_the_others_wait_on(
    breaker: Breaker, server: Server, clock: Clock
) -> None:
    fail(breaker, server)
    clock.now += 1.0
    begun, answer = threading.Event(), threading.Event()
    results: list[str] = []

    def slow() -> str:
        begun.set()
        assert answer.wait(10)
        return "well again"

    trial = threading.Thread(target=lambda: results.append(breaker.call(slow)))
    trial.start()
    assert begun.wait(10)
    server.error = None
    assert not is_asked(breaker, server)
    answer.set()
    trial.join(10)
    assert results == ["well again"]
    assert is_asked(breaker, server)
