"""Work on many users: several at once, in bounded memory, and nothing more once it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest

from autocreate.admin.bulk import Outcomes, Run, filter_in_parallel, in_parallel
from autocreate.admin.outcomes import State, outcome_of
from autocreate.errors import Temporary
from autocreate.model import Answer, Verdict
from autocreate.tree.actions import CreateMailbox, SetQuota, Subscribe, SubscribeShared
from autocreate.tree.plan import Plan, without_user_removed
from autocreate.tree.values import Quota


def jobs(
    work: Callable[[str], Verdict], users: Iterable[str]
) -> Iterator[tuple[str, Callable[[], Verdict]]]:
    return ((user, partial(work, user)) for user in users)


def test_several_users_are_worked_on_at_once_and_few_are_taken_ahead_of_time() -> None:
    taken = 0
    most_waiting = 0
    seen: list[str] = []
    together = threading.Barrier(3, timeout=10)

    def users() -> Iterator[str]:
        nonlocal taken, most_waiting
        for number in range(30):
            taken += 1
            most_waiting = max(most_waiting, taken - len(seen))
            yield f"user{number}"

    def work(user: str) -> Verdict:
        together.wait()  # passes only if three are at work
        return Verdict(Answer.ACCEPT, "", user)

    for user, _verdict in in_parallel(jobs(work, users()), 3):
        seen.append(user)

    assert sorted(seen) == sorted(f"user{number}" for number in range(30))
    assert most_waiting <= 7


def test_an_error_about_one_user_stops_nobody_else() -> None:
    def work(user: str) -> Verdict:
        if user == "joe":
            raise Temporary("the database is away")
        return Verdict(Answer.ACCEPT, "", user)

    found = dict(in_parallel(jobs(work, ["ann", "joe", "kim"]), 2))
    assert {user: verdict.answer for user, verdict in found.items()} == {
        "ann": Answer.ACCEPT,
        "joe": Answer.TEMPORARY,
        "kim": Answer.ACCEPT,
    }
    assert found["joe"].reason == "the database is away"


def test_a_defect_is_not_taken_for_an_outcome() -> None:
    def work(user: str) -> Verdict:
        raise ZeroDivisionError(user)

    with pytest.raises(ZeroDivisionError, match="joe"):
        list(in_parallel(jobs(work, ["joe"]), 2))


def test_once_it_is_closed_nothing_more_is_started() -> None:
    begun: list[str] = []

    def work(user: str) -> Verdict:
        begun.append(user)
        return Verdict(Answer.ACCEPT, "", user)

    with closing(
        in_parallel(jobs(work, (f"user{number}" for number in range(100))), 2)
    ) as verdicts:
        next(verdicts)
    assert len(begun) <= 5
    assert not [it for it in threading.enumerate() if it.name.startswith("bulk")]


def test_an_interrupt_while_it_waits_starts_nothing_more() -> None:
    begun: list[str] = []

    def users() -> Iterator[str]:
        yield from ("ann", "joe")
        raise KeyboardInterrupt

    def work(user: str) -> Verdict:
        begun.append(user)
        return Verdict(Answer.ACCEPT, "", user)

    with pytest.raises(KeyboardInterrupt):
        list(in_parallel(jobs(work, users()), 2))
    assert set(begun) <= {"ann", "joe"}


def test_whoever_was_waiting_for_a_thread_is_not_started_after_an_interrupt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[str] = []
    both_are_at_work = threading.Barrier(3, timeout=10)
    is_shut_down = threading.Event()
    shutdown = ThreadPoolExecutor.shutdown

    def shutting_down(
        executor: ThreadPoolExecutor, wait: bool = True, *, cancel_futures: bool = False
    ) -> None:
        shutdown(executor, wait=False, cancel_futures=cancel_futures)
        is_shut_down.set()
        shutdown(executor, wait=wait)

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", shutting_down)

    def users() -> Iterator[str]:
        yield from ("ann", "joe", "kim")  # and two at once
        both_are_at_work.wait()
        raise KeyboardInterrupt

    def work(user: str) -> Verdict:
        begun.append(user)
        both_are_at_work.wait()
        assert is_shut_down.wait(10)
        return Verdict(Answer.ACCEPT, "", user)

    with pytest.raises(KeyboardInterrupt):
        list(in_parallel(jobs(work, users()), 2))
    assert sorted(begun) == ["ann", "joe"]


def test_a_run_counts_its_outcomes_and_stops_its_work_when_it_is_closed() -> None:
    is_stopped = False

    def work() -> Outcomes:
        nonlocal is_stopped
        try:
            for user in ("ann", "joe", "kim"):
                yield outcome_of(user, Verdict(Answer.TEMPORARY, "away", user), is_applied=True)
        finally:
            is_stopped = True

    run = Run(3, 3, True, work())
    with closing(run.outcomes()) as outcomes:
        next(outcomes)
        next(outcomes)
    assert is_stopped
    assert run.done == 2
    assert run.summary.counts == {State.FAILED: 2}
    assert run.summary.exit_status == 75


def test_what_was_done_away_with_does_not_come_back_and_nothing_is_set_on_it() -> None:
    plan = Plan(
        "joe",
        "everyone",
        (
            SetQuota(Quota(1024)),
            CreateMailbox(("Sent",)),
            CreateMailbox(("Drafts",)),
            Subscribe(("Sent",)),
            Subscribe(("Drafts",)),
            SubscribeShared("News"),
            SubscribeShared("Jobs"),
        ),
    )
    given = frozenset({"folder Sent", "subscription to shared News"})
    assert without_user_removed(plan, given).actions == (
        SetQuota(Quota(1024)),
        CreateMailbox(("Drafts",)),
        Subscribe(("Drafts",)),
        SubscribeShared("Jobs"),
    )
    assert CreateMailbox(()).user_removable == ""
    assert SetQuota(Quota(1)).user_removable == ""


def test_many_users_are_filtered_and_few_are_taken_ahead_of_time() -> None:
    taken = 0

    def users() -> Iterator[str]:
        nonlocal taken
        for taken in range(1, 10_001):
            yield f"user{taken}"

    found = filter_in_parallel(users(), lambda user: user.endswith("7"), parallel=2)
    first = next(found)
    assert first.endswith("7")
    assert taken <= 500
    assert {first, *found} == {f"user{number}" for number in range(7, 10_001, 10)}


def test_a_question_that_fails_ends_the_filtering() -> None:
    def fails(user: str) -> bool:
        raise Temporary(f"no answer about {user}")

    with pytest.raises(Temporary, match="no answer about joe"):
        list(filter_in_parallel(["joe"], fails, parallel=2))
