"""The labels and numbers of the report, the same in the text and on the page."""

import time
from collections.abc import Iterator

from autocreate.report.gather import OUTCOMES, Report, Slot
from autocreate.service.journal import SEEN_LIMIT
from autocreate.service.journal_hours import DAY, HOUR
from autocreate.statistics.tally import Histogram

# The quantiles of times, by their JSON keys.
PARTS = {"median": 0.5, "p95": 0.95, "p99": 0.99}

WORDS = {
    "accept": "accepted",
    "created": "accepted, mailbox created",
    "unknown": "unknown (550)",
    "refused": "refused by Cyrus",
    "malformed": "malformed (553)",
    "temporary": "deferred (451)",
    "pass": "not ours, passed",
}


def date_and_time(seconds: float) -> str:
    """A time as an administrator reads it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def period(found: Report) -> str:
    """From when to when, with the time zone: `2026-11-24 08:00 to 2026-11-25 08:00 CET`."""
    begins, ends = _zones(found)
    first = f" {begins}" if begins != ends else ""
    return f"{date_and_time(found.since)}{first} to {date_and_time(found.until)} {ends}"


def kind_of_slots(found: Report) -> str:
    """What the slots of a report are, with the time zone: `an hour (CET)`."""
    if found.slots[0].seconds == HOUR:
        return f"an hour ({'/'.join(dict.fromkeys(_zones(found)))})"
    return "a day of UTC" if found.slots[0].seconds == DAY else "a week of UTC"


def _zones(found: Report) -> tuple[str, str]:
    """The time zone when the period begins, and when it ends."""
    first, last = (time.strftime("%Z", time.localtime(it)) for it in (found.since, found.until))
    return first, last


def name_of(slot: Slot) -> str:
    """An hour in local time; a day or a week of UTC."""
    if slot.seconds == HOUR:
        return date_and_time(slot.begins)
    day = time.strftime("%Y-%m-%d", time.gmtime(slot.begins))
    return f"{day} (UTC)" if slot.seconds == DAY else f"week of {day} (UTC)"


def notes(found: Report) -> list[str]:
    """What the figures leave out, a sentence each."""
    said = []
    if found.begins is not None and found.begins > found.since:
        said.append(f"The journal has no statistics before {date_and_time(found.begins)}.")
    if found.days_until is not None:
        until = date_and_time(found.days_until)
        said.append(f"Before {until} the journal has whole days (UTC) only.")
    if found.dry_run.begins is not None:
        begins = date_and_time(found.dry_run.begins)
        said.append(f"Dry run has no recipients before {begins}: it keeps the last {SEEN_LIMIT:,}.")
    if count := len(found.left_out):
        rows = "1 invalid row" if count == 1 else f"{count:,} invalid rows"
        said.append(f"Skipped {rows} of the journal.")
    return said


def cells_of(found: Report) -> Iterator[tuple[tuple[str, str], int]]:
    """What the MTA did with recipients in dry run and what we would say, and how many; the most first."""
    for (is_refused, answer), count in found.dry_run.cells.most_common():
        yield ("refused" if is_refused else "accepted", WORDS[answer]), count


def milliseconds(value: float) -> str:
    """A duration: `0.1 ms`, `44 ms`, `1.2 s`."""
    if value == float("inf"):
        return "over 10 s"
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    if value >= 10:
        return f"{value:.0f} ms"
    return f"{value:.2f}".rstrip("0").rstrip(".") + " ms" if value < 1 else f"{value:.2g} ms"


def quantiles(found: Report) -> Iterator[tuple[str, int, str, str, str]]:
    """(outcome, how many, median, 95 %, 99 %) of the time until the verdict."""
    for outcome, times in times_of(found):
        half, most, nearly = (milliseconds(times.quantile(it)) for it in PARTS.values())
        yield outcome, times.total, half, most, nearly


def times_of(found: Report) -> Iterator[tuple[str, Histogram]]:
    """The time until the verdict, for each outcome that occurred."""
    for outcome in OUTCOMES:
        times = Histogram()
        for (_, name), it in found.total.times.items():
            if name == outcome:
                times.merge(it)
        if times.total:
            yield outcome, times
