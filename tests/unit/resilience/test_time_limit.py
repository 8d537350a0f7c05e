"""Calls that may hang, in a few threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from autocreate.errors import PoolExhausted, ServerTimeout, Temporary
from autocreate.resilience.time_limit import TimeLimit
from tests.servers.common import wait_until

LONG, SHORT = 30.0, 0.05


@pytest.fixture
def end() -> Iterator[threading.Event]:
    """What hangs hangs until this is set."""
    event = threading.Event()
    yield event
    event.set()


def failing(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


def test_what_ends_in_time_is_answered() -> None:
    assert TimeLimit("it", 2, LONG).run(lambda: 7) == 7


@pytest.mark.parametrize("error", [Temporary("no"), TimeoutError("its own"), KeyError("a defect")])
def test_what_is_raised_in_time_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        TimeLimit("it", 2, LONG).run(failing(error))
    assert raised.value is error


def test_who_waits_for_what_hangs_leaves_in_time(end: threading.Event) -> None:
    with pytest.raises(ServerTimeout, match=r"it did not answer within 0\.05 s"):
        TimeLimit("it", 2, SHORT).run(end.wait)


def test_what_hangs_leaves_the_other_threads_at_work(end: threading.Event) -> None:
    limit = TimeLimit("it", 2, SHORT)
    with pytest.raises(ServerTimeout):
        limit.run(end.wait)
    assert limit.run(lambda: 7) == 7


def test_when_all_threads_hang_nothing_is_begun_until_one_comes_back(end: threading.Event) -> None:
    limit = TimeLimit("it", 2, SHORT)
    begun = []
    for _ in range(2):
        with pytest.raises(ServerTimeout):
            limit.run(end.wait)
    for _ in range(40):
        with pytest.raises(ServerTimeout, match="it hangs: 2 calls have not returned"):
            limit.run(lambda: begun.append(1))
    assert not begun
    end.set()

    def answers() -> bool:
        try:
            return limit.run(lambda: True)
        except ServerTimeout:
            return False

    wait_until(answers, LONG, "a thread that comes back")


def test_who_is_not_begun_in_time_says_nothing_of_the_server(end: threading.Event) -> None:
    limit = TimeLimit("it", 1, 0.5)
    begun = threading.Event()

    def slow() -> bool:
        begun.set()
        return end.wait()

    with ThreadPoolExecutor(1) as other:
        first = other.submit(limit.run, slow)
        assert begun.wait(LONG)
        with pytest.raises(PoolExhausted):
            limit.run(end.wait)
        with pytest.raises(ServerTimeout):
            first.result()


def test_what_has_begun_before_the_end_is_done_after_it() -> None:
    limit = TimeLimit("it", 2, LONG)
    limit.close()
    assert limit.run(lambda: 7) == 7
