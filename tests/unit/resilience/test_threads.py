"""Threads that are kept for the next piece of work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

import pytest

from autocreate.resilience.threads import Threads
from tests.servers.common import wait_until

LONG = 30.0

Work = Callable[[], None]


def _threads(most: int, idle: float = LONG) -> Threads[Work]:
    return Threads(lambda work: work(), most, "test", idle)


class Done:
    """Which threads have done a piece of work, and a piece that they do."""

    def __init__(self) -> None:
        self._threads: SimpleQueue[threading.Thread] = SimpleQueue()

    def __call__(self) -> None:
        self._threads.put(threading.current_thread())

    def next(self) -> threading.Thread:
        return self._threads.get(timeout=LONG)


class Slow(Done):
    """Is done when it may end."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.begun.set()
        assert self.may_end.wait(LONG)
        super().__call__()


def _is_idle(threads: Threads[Work]) -> None:
    wait_until(lambda: bool(threads._idle), LONG, "an idle thread")


def test_a_thread_is_kept_for_the_next_piece_of_work() -> None:
    threads, work = _threads(8), Done()
    used = set()
    for _ in range(3):
        threads.start(work)
        used.add(work.next())
        _is_idle(threads)
    assert len(used) == 1
    threads.close()


def test_the_thread_that_was_idle_last_is_taken_first() -> None:
    threads, slow, quick = _threads(8), Slow(), Done()
    threads.start(slow)
    assert slow.begun.wait(LONG)
    threads.start(quick)
    first = quick.next()
    _is_idle(threads)
    slow.may_end.set()
    last = slow.next()
    wait_until(lambda: len(threads._idle) == 2, LONG, "both are idle")
    threads.start(quick)
    assert quick.next() is last is not first
    threads.close()


def test_what_has_no_thread_waits_for_one() -> None:
    threads, slow, quick = _threads(1), Slow(), Done()
    threads.start(slow)
    threads.start(quick)
    slow.may_end.set()
    assert slow.next() is quick.next()
    threads.close()


def test_closed_threads_end_after_their_work_and_take_no_other() -> None:
    threads, slow, queued = _threads(1), Slow(), Done()
    threads.start(slow)
    assert slow.begun.wait(LONG)
    threads.start(queued)
    assert threads.close() == [queued]
    with pytest.raises(RuntimeError, match="shutting down"):
        threads.start(Done())
    slow.may_end.set()
    ended = slow.next()
    ended.join(LONG)
    assert not ended.is_alive()


def test_idle_threads_end_when_they_are_closed() -> None:
    threads, work = _threads(1), Done()
    threads.start(work)
    idle = work.next()
    _is_idle(threads)
    threads.close()
    idle.join(LONG)
    assert not idle.is_alive()


def test_an_idle_thread_ends_by_itself_and_another_takes_its_place() -> None:
    threads, work = _threads(1, idle=0.01), Done()
    threads.start(work)
    first = work.next()
    first.join(LONG)
    assert not first.is_alive()
    threads.start(work)
    assert work.next() is not first
    threads.close()


def test_many_pieces_of_work_are_each_done_once_while_threads_come_and_go() -> None:
    threads = _threads(4, idle=0.0)
    done: SimpleQueue[int] = SimpleQueue()
    for number in range(2000):
        threads.start(lambda number=number: done.put(number))  # type: ignore[misc]
    assert sorted(done.get(timeout=LONG) for _ in range(2000)) == list(range(2000))
    threads.close()


def test_without_another_thread_those_there_are_do_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threads, slow, quick = _threads(2), Slow(), Done()
    threads.start(slow)
    assert slow.begun.wait(LONG)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    threads.start(quick)
    slow.may_end.set()
    assert slow.next() is quick.next()
    threads.close()


def test_without_any_thread_no_work_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        _threads(2).start(Done())
