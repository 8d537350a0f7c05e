"""`autocreate report`: the statistics of all processes, from the journal."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autocreate.model import DRY_RUN, DRY_RUN_REFUSED, Answer
from autocreate.service.journal import SEEN_LIMIT, Journal
from autocreate.service.journal_hours import DAY, HOUR
from autocreate.statistics.tally import Tally

WEEK = 7 * DAY

_OF_DRY_RUN = (DRY_RUN, DRY_RUN_REFUSED)

# The epoch was a Thursday; this is the first Monday.
_MONDAY = 4 * DAY

# What becomes of recipients, in the order of the report: the answers, and `created` apart.
OUTCOMES = ("accept", "created", "unknown", "refused", "malformed", "temporary", "pass")

# With these answers the socket map finds a recipient, as a rule.
_FOUND = ("accept", "pass", "refused")


@dataclass(frozen=True, slots=True)
class DryRun:
    """What was decided in dry-run mode.

    Args:
        cells: how many recipients the MTA accepted or refused as unknown (True), by the answer that they would
            have had.
        reasons: how many, by that answer and its reason.
        answers: the same answers, every recipient once.
        trees: the users whose mailboxes would have been created, by (policy, domain).
        begins: since when the recipients of the period are kept, in seconds since the epoch; None if all are.
    """

    cells: Counter[tuple[bool, str]] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    trees: Counter[tuple[str, str]] = field(default_factory=Counter)
    begins: float | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """How many recipients had which outcome in a part of the period: HOUR, DAY or WEEK.

    Days and weeks are of UTC, as the journal has them. Weeks begin on Monday.
    """

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
        begins: since when the journal has statistics, whether in the period or not; None if it has none.
        days_until: the end of what is in whole days only, of which the first may begin before the period;
            None if all is in hours.
    """

    since: float
    until: float
    total: Tally
    slots: tuple[Slot, ...]
    dry_run: DryRun
    unfinished: int
    left_out: tuple[str, ...] = ()
    begins: int | None = None
    days_until: int | None = None

    @property
    def outcomes(self) -> Counter[str]:
        """How many recipients there were, by outcome. Those of dry run are counted apart."""
        return outcomes_of(self.total)

    @property
    def reasons(self) -> list[tuple[str, str, int]]:
        """(answer, reason, how many), the most frequent first."""
        counts: Counter[tuple[str, str]] = Counter()
        for kind, count in self.total.kinds.items():
            if kind.suppressed not in _OF_DRY_RUN and not _is_asked_again(
                kind.frontend, kind.answer
            ):
                counts[kind.answer, kind.reason] += count
        return [(*key, count) for key, count in counts.most_common()]

    @property
    def is_empty(self) -> bool:
        return not (self.total.kinds or self.total.created or self.dry_run.answers)


def gather(journal: Journal, since: float, until: float) -> Report:
    """Add up the statistics in the journal.

    Args:
        since, until: in seconds since the epoch; whole hours are added up, or days where they are older.

    Raises:
        Temporary: the journal cannot be read.
    """
    total = Tally()
    parts: list[Slot] = []
    left_out: list[str] = []
    for begins, seconds, text in journal.tallies(since):
        try:
            tally = Tally.from_text(text)
        except ValueError as error:
            left_out.append(f"table hours, hour {begins}: {error}")
            continue
        total.merge(tally)
        parts.append(Slot(begins, seconds, outcomes_of(tally)))
    dry_run = _dry_run(total, journal.seen(), since, left_out)
    return Report(
        since,
        until,
        total,
        tuple(_slots(parts, until)),
        dry_run,
        journal.count_unfinished(),
        tuple(left_out),
        journal.tallies_begin(),
        max((it.begins + DAY for it in parts if it.seconds == DAY), default=None),
    )


def outcomes_of(tally: Tally) -> Counter[str]:
    """How many recipients there were, by outcome, without those of dry run."""
    counts: Counter[str] = Counter()
    for (frontend, outcome), times in tally.times.items():
        if not _is_asked_again(frontend, outcome):
            counts[outcome] += times.total
    for kind, count in tally.kinds.items():
        if kind.suppressed in _OF_DRY_RUN and not _is_asked_again(kind.frontend, kind.answer):
            counts[kind.answer] -= count
    return +counts


def _is_asked_again(frontend: str, answer: str) -> bool:
    """Is it a recipient that the socket map finds? Then the milter is asked next, and counts it."""
    return frontend == "socketmap" and answer in _FOUND


def _slots(parts: Sequence[Slot], until: float) -> Iterator[Slot]:
    """Slots of one size without gaps; half a day at least, to be comparable."""
    if not parts:
        return
    last = int(until) // HOUR * HOUR
    first = min(*(it.begins for it in parts), last - 11 * HOUR)
    size = max(_size(last - first), *(it.seconds for it in parts))
    counts: dict[int, Counter[str]] = {}
    for part in parts:
        counts.setdefault(_slot_of(part.begins, size), Counter()).update(part.outcomes)
    for begins in range(_slot_of(first, size), last + 1, size):
        yield Slot(begins, size, counts.get(begins, Counter()))


def _size(seconds: int) -> int:
    """Of the slots of a period: some 200 to 400 can be told apart on a page."""
    if seconds < 8 * DAY:
        return HOUR
    return DAY if seconds <= 400 * DAY else WEEK


def _slot_of(begins: int, size: int) -> int:
    """The beginning of the slot that a time is in."""
    offset = _MONDAY if size == WEEK else 0
    return (begins - offset) // size * size + offset


def _dry_run(
    total: Tally, rows: Iterable[Mapping[str, Any]], since: float, left_out: list[str]
) -> DryRun:
    seen = DryRun()
    for kind, count in total.kinds.items():
        # Of the recipients that the socket map is asked for, the milter is told, too.
        is_counted = kind.frontend != "socketmap" and kind.answer != Answer.PASS.value
        if kind.suppressed in _OF_DRY_RUN and is_counted:
            seen.cells[kind.suppressed == DRY_RUN_REFUSED, kind.answer] += count
            seen.reasons[kind.answer, kind.reason] += count
    users: set[str] = set()
    for number, row in enumerate(rows, 1):
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
        if number >= SEEN_LIMIT:
            return replace(seen, begins=row["last_seen"])
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
