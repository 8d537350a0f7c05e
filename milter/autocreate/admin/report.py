"""`autocreate report`: what the processes that serve have seen, as the journal has it."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from autocreate.core.tally import Tally
from autocreate.journal import Journal
from autocreate.model import Answer

HOUR = 3600
_DAY = 24 * HOUR

# What becomes of recipients, in the order in which it is told: the answers, and `created` apart.
OUTCOMES = ("accept", "created", "unknown", "malformed", "temporary", "pass")


@dataclass(frozen=True, slots=True)
class DryRun:
    """What dry run has recorded, every recipient once.

    Args:
        answers: what it would have been answered.
        trees: the users whose mailboxes would have been created, by (policy, domain).
    """

    answers: Counter[str] = field(default_factory=Counter)
    trees: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of time and what became of its recipients, by outcome."""

    begins: int
    seconds: int
    outcomes: Counter[str]


@dataclass(frozen=True, slots=True)
class Report:
    """What was seen from `since` to `until`, in seconds since the epoch.

    Args:
        total: all of it.
        slots: the same in its course, without gaps.
        unfinished: trees that were begun and are not finished now.
    """

    since: float
    until: float
    total: Tally
    slots: tuple[Slot, ...]
    dry_run: DryRun
    unfinished: int

    @property
    def outcomes(self) -> Counter[str]:
        """How many recipients there were, by outcome."""
        return outcomes_of(self.total)

    @property
    def reasons(self) -> list[tuple[str, str, int]]:
        """(answer, reason, how many), the most frequent first."""
        counts: Counter[tuple[str, str]] = Counter()
        for kind, count in self.total.kinds.items():
            counts[kind.answer, kind.reason] += count
        return [(*key, count) for key, count in counts.most_common()]

    @property
    def is_empty(self) -> bool:
        return not (self.total.kinds or self.total.created or self.dry_run.answers)


def gather(journal: Journal, since: float, until: float) -> Report:
    """Add up what the journal has.

    Raises:
        Temporary: the journal cannot be read.
    """
    total = Tally()
    hours: dict[int, Counter[str]] = {}
    for hour, text in journal.tallies(since):
        tally = Tally.from_json(json.loads(text))
        total.merge(tally)
        hours.setdefault(hour, Counter()).update(outcomes_of(tally))
    return Report(
        since,
        until,
        total,
        tuple(_slots(hours, until)),
        _dry_run(journal.seen(), since),
        journal.count_unfinished(),
    )


def outcomes_of(tally: Tally) -> Counter[str]:
    """How many recipients there were, by outcome."""
    counts: Counter[str] = Counter()
    for (_, outcome), times in tally.times.items():
        counts[outcome] += times.total
    return counts


def _slots(hours: Mapping[int, Counter[str]], until: float) -> Iterator[Slot]:
    """Hours, or days where there would be too many hours; half a day at least, to be comparable."""
    if not hours:
        return
    last = int(until) // HOUR * HOUR
    first = min(*hours, last - 11 * HOUR)
    size = HOUR if last - first < 8 * _DAY else _DAY
    counts: dict[int, Counter[str]] = {}
    for hour, outcomes in hours.items():
        counts.setdefault(hour // size * size, Counter()).update(outcomes)
    for begins in range(first // size * size, last + 1, size):
        yield Slot(begins, size, counts.get(begins, Counter()))


def _dry_run(rows: Iterable[Mapping[str, Any]], since: float) -> DryRun:
    seen = DryRun()
    users: set[str] = set()
    for row in rows:
        if row["last_seen"] < since:
            break  # the latest come first
        seen.answers[row["answer"]] += 1
        domain = row["recipient"].rpartition("@")[2].rstrip("> ").lower()
        if row["answer"] != Answer.ACCEPT.value or not row["plan"]:
            continue
        plan = json.loads(row["plan"])
        for each in (plan, *plan.get("others", ())):
            if _creates(each) and each["user"] not in users:
                users.add(each["user"])
                seen.trees[each["policy"], domain] += 1
    return seen


def _creates(plan: Mapping[str, Any]) -> bool:
    return any(it["action"] == "create" and it["folder"] == "INBOX" for it in plan["actions"])
