"""What became of each of many users, and of all of them together."""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from autocreate.model import Answer, Verdict


class State(Enum):
    """What became of a user, in words for the administrator."""

    UP_TO_DATE = "up to date"
    PLANNED = "planned"
    CREATED = "created"
    COMPLETED = "completed"
    UNFINISHED = "unfinished"
    SKIPPED = "skipped"
    EXEMPT = "exempt"
    NO_MAILBOX = "without a mailbox"
    REFUSED = "refused"
    MALFORMED = "malformed"
    FAILED = "failed"

    @property
    def is_problem(self) -> bool:
        """Does it remain, even if all plans are carried out?"""
        return self in (State.FAILED, State.MALFORMED, State.NO_MAILBOX, State.REFUSED)


class Outcome(NamedTuple):
    """What became of one user."""

    user: str
    verdict: Verdict
    state: State


def outcome_of(user: str, verdict: Verdict, is_applied: bool) -> Outcome:
    """What became of a user by its verdict.

    Args:
        is_applied: plans are carried out, not only made.
    """
    return Outcome(user, verdict, _state(verdict, is_applied))


def _state(verdict: Verdict, is_applied: bool) -> State:
    if verdict.answer is not Answer.ACCEPT:
        return _STATES[verdict.answer]
    if not (verdict.plan and verdict.plan.actions):
        return State.UP_TO_DATE
    if verdict.report and verdict.report.exit_status:
        return State.UNFINISHED
    if verdict.created:
        return State.CREATED
    return State.COMPLETED if is_applied else State.PLANNED


_STATES = {
    Answer.PASS: State.SKIPPED,
    Answer.UNKNOWN: State.NO_MAILBOX,
    Answer.REFUSED: State.REFUSED,
    Answer.MALFORMED: State.MALFORMED,
    Answer.TEMPORARY: State.FAILED,
}


@dataclass(slots=True)
class Summary:
    """How many users came to which state.

    Args:
        exit_status: of a command that ends with these outcomes: the highest of them (sysexits(3)).
    """

    counts: Counter[State] = field(default_factory=Counter)
    exit_status: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count one more user."""
        self.counts[outcome.state] += 1
        self.exit_status = max(self.exit_status, outcome.verdict.exit_status)

    def problems(self) -> "Summary":
        """What remains of a review when its plans are carried out: its problems and its exit status."""
        problems = {state: count for state, count in self.counts.items() if state.is_problem}
        return Summary(Counter(problems), self.exit_status)

    def __str__(self) -> str:
        """`12 created, 1 failed`, or `nothing to do`."""
        counts = sorted((state.value, count) for state, count in self.counts.items() if count)
        return ", ".join(f"{count} {name}" for name, count in counts) or "nothing to do"
