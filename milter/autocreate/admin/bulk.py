"""Work on many users, several at once."""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TypeVar

from autocreate.admin.outcomes import Outcome, Summary
from autocreate.errors import AutocreateError
from autocreate.model import Answer, Verdict

T = TypeVar("T")

# Users that one job asks about, where handing over a job takes as long as a question. An interrupted
# command waits for the jobs that have begun.
_BATCH = 20

Outcomes = Generator[Outcome, None, None]


@dataclass(slots=True)
class Run:
    """Work on many users that is ready to start. Taking its outcomes does it.

    Args:
        accounts: how many the selection has.
        total: how many outcomes there will be, at most.
        is_applied: plans are carried out, not only made.
        work: does it, one outcome at a time.
        summary: of the outcomes so far.
        done: how many outcomes there were so far.
    """

    accounts: int
    total: int
    is_applied: bool
    work: Outcomes
    summary: Summary = field(default_factory=Summary)
    done: int = 0

    def outcomes(self) -> Outcomes:
        """What becomes of each user, as it comes. Close it to stop early: nothing more is started."""
        with closing(self.work) as work:
            for outcome in work:
                self.done += 1
                self.summary.add(outcome)
                yield outcome


def in_parallel(
    jobs: Iterable[tuple[str, Callable[[], Verdict]]], parallel: int
) -> Generator[tuple[str, Verdict], None, None]:
    """Do something for each user, several at once. Yields (user, verdict) in no particular order.

    Whoever closes it before its end waits for the users being worked on; no other is started.

    Args:
        jobs: users, and what to do for each, in a thread of its own. This program's own errors
            become temporary verdicts. The jobs themselves are taken in the caller's thread.
        parallel: how many at once; at most twice as many jobs are taken ahead of time.
    """

    def attempt(user: str, job: Callable[[], Verdict]) -> tuple[str, Verdict]:
        try:
            return user, job()
        except AutocreateError as error:
            return user, Verdict(Answer.TEMPORARY, str(error), user)

    yield from _results((partial(attempt, user, job) for user, job in jobs), parallel)


def filter_in_parallel(
    users: Iterable[str], is_wanted: Callable[[str], bool], parallel: int
) -> Iterator[str]:
    """The users for whom something holds, in no particular order.

    Args:
        users: taken in the caller's thread, some batches ahead.
        is_wanted: is called in other threads. An error that it raises is raised here.
        parallel: how many users to ask about at once.
    """

    def wanted(batch: list[str]) -> list[str]:
        return list(filter(is_wanted, batch))

    remaining = iter(users)
    batches = iter(lambda: list(islice(remaining, _BATCH)), [])
    for found in _results((partial(wanted, batch) for batch in batches), parallel):
        yield from found


def _results(jobs: Iterable[Callable[[], T]], parallel: int) -> Generator[T, None, None]:
    """What jobs return, in no particular order. See `in_parallel`."""
    with ThreadPoolExecutor(parallel, thread_name_prefix="bulk") as executor:
        pending: set[Future[T]] = set()
        try:
            for job in jobs:
                pending.add(executor.submit(job))
                if len(pending) >= 2 * parallel:
                    yield from _finished(pending)
            while pending:
                yield from _finished(pending)
        except BaseException:
            executor.shutdown(wait=True, cancel_futures=True)
            raise


def _finished(pending: set[Future[T]]) -> Iterator[T]:
    """Wait for the next results, and remove them from `pending`."""
    done, _ = wait(pending, return_when=FIRST_COMPLETED)
    pending -= done
    for future in done:
        yield future.result()
