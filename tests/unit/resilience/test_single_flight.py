"""One piece of work at a time per key, shared by all who ask for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest

from autocreate.errors import DeadlinePassed, Refused, Temporary
from autocreate.resilience.single_flight import SingleFlight
from tests.servers.common import wait_until
from tests.unit.clock import Clock

LONG = 30.0


class Work:
    """Work that ends when it is told to, and counts how often it ran."""

    def __init__(self, result: str = "done", error: BaseException | None = None) -> None:
        self.result, self.error = result, error
        self.runs = 0
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.runs += 1
        self.begun.set()
        assert self.may_end.wait(LONG)
        if self.error:
            raise self.error
        return self.result


@pytest.fixture
def single_flight() -> Iterator[SingleFlight[str]]:
    single_flight: SingleFlight[str] = SingleFlight(workers=4)
    yield single_flight
    single_flight.close()


@pytest.fixture
def ask() -> Iterator[Callable[..., Future[str]]]:
    """Calls in a thread of its own."""
    with ThreadPoolExecutor(64) as callers:
        yield callers.submit


def test_all_who_ask_for_a_key_get_the_answer_of_one_piece_of_work(
    single_flight: SingleFlight[str], ask: Callable[..., Future[str]]
) -> None:
    work = Work()
    answers = [ask(single_flight.join, "joe", work, LONG) for _ in range(50)]
    wait_until(lambda: single_flight.waiting("joe") == 50, LONG, "fifty callers")
    work.may_end.set()
    assert {it.result(LONG) for it in answers} == {"done"}
    assert work.runs == 1


def test_different_keys_do_not_wait_for_each_other(
    single_flight: SingleFlight[str], ask: Callable[..., Future[str]]
) -> None:
    slow = Work()
    answer = ask(single_flight.join, "joe", slow, LONG)
    assert slow.begun.wait(LONG)
    assert single_flight.join("ann", lambda: "at once", LONG) == "at once"
    slow.may_end.set()
    assert answer.result(LONG) == "done"


def test_work_that_has_ended_is_begun_anew(single_flight: SingleFlight[str]) -> None:
    assert [single_flight.join("joe", partial(str, it), LONG) for it in "ab"] == ["a", "b"]


@pytest.mark.parametrize("error", [Refused("no"), ValueError("a defect"), TimeoutError("socket")])
def test_an_error_goes_to_everyone_who_waits(
    single_flight: SingleFlight[str], ask: Callable[..., Future[str]], error: BaseException
) -> None:
    work = Work(error=error)
    answers = [ask(single_flight.join, "joe", work, LONG) for _ in range(10)]
    wait_until(lambda: single_flight.waiting("joe") == 10, LONG, "ten callers")
    work.may_end.set()
    assert [it.exception(LONG) for it in answers] == [error] * 10
    assert work.runs == 1


def test_a_caller_leaves_at_its_deadline_while_the_work_goes_on(
    single_flight: SingleFlight[str], ask: Callable[..., Future[str]]
) -> None:
    work = Work()
    patient = ask(single_flight.join, "joe", work, LONG)
    assert work.begun.wait(LONG)
    with pytest.raises(DeadlinePassed, match=r"no result within 0\.0 s; the work continues"):
        single_flight.join("joe", work, 0.01)
    work.may_end.set()
    assert patient.result(LONG) == "done"
    assert work.runs == 1


def test_work_that_everyone_has_left_is_still_the_one_to_join(
    single_flight: SingleFlight[str],
) -> None:
    work = Work()
    with pytest.raises(DeadlinePassed):
        single_flight.join("joe", work, 0.01)
    assert work.begun.wait(LONG)
    with pytest.raises(DeadlinePassed):
        single_flight.join("joe", work, 0.01)
    work.may_end.set()
    wait_until(lambda: not single_flight._in_flight.by_key, LONG, "the end of the work")
    assert work.runs == 1


def test_work_that_nobody_waits_for_any_more_is_not_begun(
    ask: Callable[..., Future[str]],
) -> None:
    single_flight: SingleFlight[str] = SingleFlight(workers=1)
    first, second = Work(), Work()
    answer = ask(single_flight.join, "joe", first, LONG)
    assert first.begun.wait(LONG)
    with pytest.raises(DeadlinePassed):
        single_flight.join("ann", second, 0.01)
    first.may_end.set()
    assert answer.result(LONG) == "done"
    assert single_flight.join("bob", lambda: "next", LONG) == "next"
    assert second.runs == 0
    second.may_end.set()
    assert single_flight.join("ann", second, LONG) == "done"
    single_flight.close()


def test_a_deadline_that_has_passed_already_is_kept(single_flight: SingleFlight[str]) -> None:
    work = Work()
    with pytest.raises(DeadlinePassed):
        single_flight.join("joe", work, -1.0)
    work.may_end.set()


def test_work_that_hangs_is_begun_anew_after_five_minutes() -> None:
    clock = Clock()
    single_flight: SingleFlight[str] = SingleFlight(3, clock=clock)
    go_on = threading.Event()

    def hang() -> str:
        assert go_on.wait(LONG)
        return "at last"

    hung = single_flight.start("joe", hang)
    clock.now += 300.0
    joined = single_flight.start("joe", lambda: "not begun")
    clock.now += 1.0
    second = single_flight.start("joe", hang)
    go_on.set()
    assert [it.result(LONG) for it in (hung, joined, second)] == ["at last"] * 3
    assert single_flight.join("joe", lambda: "the next", LONG) == "the next"
    single_flight.close()


def test_who_takes_over_joins_the_work_in_progress() -> None:
    before: SingleFlight[str] = SingleFlight(workers=1)
    go_on = threading.Event()

    def work() -> str:
        assert go_on.wait(LONG)
        return "the first"

    first = before.start("joe", work)
    after = SingleFlight(2, before)
    second = after.start("joe", lambda: "the second")
    before.close()
    go_on.set()
    assert [first.result(LONG), second.result(LONG)] == ["the first", "the first"]
    assert after.join("joe", lambda: "the next", LONG) == "the next"
    after.close()


def test_once_closed_no_work_is_begun(ask: Callable[..., Future[str]]) -> None:
    single_flight: SingleFlight[str] = SingleFlight(workers=1)
    running, queued = Work(), Work()
    first = ask(single_flight.join, "joe", running, LONG)
    assert running.begun.wait(LONG)
    second = ask(single_flight.join, "ann", queued, LONG)
    wait_until(lambda: single_flight.waiting("ann") == 1, LONG, "the second caller")
    single_flight.close()
    with pytest.raises(Temporary, match="shutting down"):
        second.result(LONG)
    with pytest.raises(Temporary, match="shutting down"):
        single_flight.join("bob", Work(), LONG)
    running.may_end.set()
    assert first.result(LONG) == "done"
    assert queued.runs == 0


def test_who_joins_sees_the_context_of_the_work_and_that_another_started_it(
    single_flight: SingleFlight[str],
) -> None:
    work = Work()
    first = single_flight.start("joe", work, context="mail")
    second = single_flight.start("joe", Work("another"), context="login")
    assert [(it.is_first, it.context) for it in (first, second)] == [
        (True, "mail"),
        (False, "mail"),
    ]
    work.may_end.set()
    assert [it.result(LONG) for it in (first, second)] == ["done", "done"]


def test_a_handle_may_be_asked_again(single_flight: SingleFlight[str]) -> None:
    work = Work()
    handle = single_flight.start("joe", work)
    other = single_flight.start("joe", work)
    for _ in range(2):
        with pytest.raises(DeadlinePassed):
            handle.result(0.01)
    assert single_flight.waiting("joe") == 1
    work.may_end.set()
    assert [it.result(LONG) for it in (handle, handle, other)] == ["done"] * 3


def test_a_handle_of_work_that_was_dropped_from_the_queue_says_so() -> None:
    single_flight: SingleFlight[str] = SingleFlight(workers=1)
    running, queued = Work(), Work()
    first = single_flight.start("joe", running)
    second = single_flight.start("ann", queued)
    with pytest.raises(DeadlinePassed):
        second.result(0.01)
    with pytest.raises(DeadlinePassed, match="was not started"):
        second.result(LONG)
    running.may_end.set()
    assert first.result(LONG) == "done"
    assert queued.runs == 0
    single_flight.close()


def test_many_threads_never_run_two_pieces_of_work_for_one_key(
    ask: Callable[..., Future[str]],
) -> None:
    single_flight: SingleFlight[str] = SingleFlight(workers=8)
    inside: dict[str, int] = dict.fromkeys("abc", 0)
    crowded: list[str] = []

    def work(key: str) -> str:
        inside[key] += 1
        if inside[key] > 1:
            crowded.append(key)
        inside[key] -= 1
        return key

    keys = "abc" * 300
    answers = [ask(single_flight.join, key, lambda key=key: work(key), LONG) for key in keys]
    assert "".join(it.result(LONG) for it in answers) == keys
    assert crowded == []
    wait_until(lambda: not single_flight._in_flight.by_key, LONG, "the end of the work")
    single_flight.close()


# -- in the caller's thread --------------------------------------------------------------------


def test_without_workers_the_caller_works_itself() -> None:
    single_flight: SingleFlight[threading.Thread] = SingleFlight(workers=0)
    assert single_flight.join("ann", threading.current_thread, LONG) is threading.current_thread()
    assert "ann" not in single_flight


def test_who_asks_meanwhile_waits_for_the_caller_who_works(
    ask: Callable[..., Future[str]],
) -> None:
    single_flight: SingleFlight[str] = SingleFlight(workers=0)
    work = Work()
    first = ask(single_flight.join, "ann", work, LONG)
    assert work.begun.wait(LONG)
    second = ask(single_flight.join, "ann", work, LONG)
    wait_until(lambda: single_flight.waiting("ann") == 2, LONG, "the second")
    work.may_end.set()
    assert {first.result(LONG), second.result(LONG)} == {"done"}
    assert work.runs == 1


def test_a_caller_who_works_gets_its_error_and_the_next_begins_anew() -> None:
    single_flight: SingleFlight[str] = SingleFlight(workers=0)
    work = Work(error=Refused("no"))
    work.may_end.set()
    for runs in (1, 2):
        with pytest.raises(Refused, match="no"):
            single_flight.join("ann", work, LONG)
        assert work.runs == runs


def test_no_caller_works_once_it_is_closed() -> None:
    single_flight: SingleFlight[str] = SingleFlight(workers=0)
    single_flight.close()
    with pytest.raises(Temporary, match="shutting down"):
        single_flight.join("ann", str, LONG)
