"""`autocreate report`: the statistics of all processes, from the journal."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from autocreate.model import Answer
from autocreate.service.journal import Journal
from autocreate.statistics.tally import Tally

HOUR = 3600
_DAY = 24 * HOUR

# What becomes of recipients, in the order of the report: the answers, and `created` apart.
OUTCOMES = ("accept", "created", "unknown", "refused", "malformed", "temporary", "pass")


@dataclass(frozen=True, slots=True)
class DryRun:
    """What was recorded in dry-run mode, every recipient once.

    Args:
        answers: that recipients would have had.
        trees: the users whose mailboxes would have been created, by (policy, domain).
    """

    answers: Counter[str] = field(default_factory=Counter)
    trees: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Slot:
    """How many recipients had which outcome in a part of the period."""

    begins: int
    seconds: int
    outcomes: Counter[str]


@dataclass(frozen=True, slots=True)
class Report:
    """Statistics from `since` to `until`, in seconds since the epoch.

    Args:
        total: of the whole period.
        slots: the recipients of its parts, in order and without gaps.
        unfinished: trees that were begun and are not finished now.
        left_out: the invalid rows of the journal, each described. Nothing in them counts.
    """

    since: float
    until: float
    total: Tally
    slots: tuple[Slot, ...]
    dry_run: DryRun
    unfinished: int
    left_out: tuple[str, ...] = ()

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
    """Add up the statistics in the journal.

    Args:
        since, until: in seconds since the epoch; whole hours are added up.

    Raises:
        Temporary: the journal cannot be read.
    """
    total = Tally()
    hours: dict[int, Counter[str]] = {}
    left_out: list[str] = []
    for hour, text in journal.tallies(since):
        try:
            tally = Tally.from_json(json.loads(text))
            outcomes = hours.setdefault(int(hour), Counter())
        except (RecursionError, TypeError, ValueError) as error:  # JSONDecodeError is one
            left_out.append(f"table hours, hour {hour}: {error}")
            continue
        total.merge(tally)
        outcomes.update(outcomes_of(tally))
    dry_run = _dry_run(journal.seen(), since, left_out)
    return Report(
        since,
        until,
        total,
        tuple(_slots(hours, until)),
        dry_run,
        journal.count_unfinished(),
        tuple(left_out),
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


def _dry_run(rows: Iterable[Mapping[str, Any]], since: float, left_out: list[str]) -> DryRun:
    seen = DryRun()
    users: set[str] = set()
    for row in rows:
        try:
            if row["last_seen"] < since:
                break  # the latest come first
            answer, trees = Answer(row["answer"]).value, list(_trees(row))
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            left_out.append(f"table seen, recipient {row['recipient']}: {error!r}")
            continue
        seen.answers[answer] += 1
        for user, policy, domain in trees:
            if user not in users:
                users.add(user)
                seen.trees[policy, domain] += 1
    return seen


def _trees(row: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(user, policy, domain) of the mailboxes that a row of dry run would have created."""
    if row["answer"] != Answer.ACCEPT.value or not row["plan"]:
        return
    domain = row["recipient"].rpartition("@")[2].rstrip("> ").lower()
    plan = json.loads(row["plan"])
    for each in (plan, *plan.get("others", ())):
        if _creates(each):
            yield str(each["user"]), str(each["policy"]), domain


def _creates(plan: Mapping[str, Any]) -> bool:
    return any(it["action"] == "create" and it["folder"] == "INBOX" for it in plan["actions"])
