"""The report as text for people, and as data for programs."""

import time
from collections.abc import Iterator
from typing import Any

from autocreate.core.printable import printable
from autocreate.report.gather import Report
from autocreate.report.words import PARTS, WORDS, cells_of, notes, period, quantiles, times_of
from autocreate.statistics.tally import Histogram


def data(found: Report) -> dict[str, Any]:
    """The report for programs. Lists are complete, the most frequent first."""

    def trees(counts: Any) -> list[dict[str, Any]]:
        return [
            {"policy": policy, "domain": domain, "count": count}
            for (policy, domain), count in counts.most_common()
        ]

    def quantile(times: Histogram, part: float) -> float | None:
        value = times.quantile(part)
        return None if value == float("inf") else round(value, 3)

    return {
        "since": _stamp(found.since),
        "until": _stamp(found.until),
        "begins": _stamp_of(found.begins),
        "days_until": _stamp_of(found.days_until),
        "outcomes": dict(found.outcomes.most_common()),
        "reasons": [
            {"answer": answer, "reason": reason, "count": count}
            for answer, reason, count in found.reasons
        ],
        "created": trees(found.total.created),
        "unknown": [{"recipient": it, "count": count} for it, count in found.total.unknown.most()],
        "clients": [{"client": it, "count": count} for it, count in found.total.clients.most()],
        "milliseconds": {
            outcome: {
                "count": times.total,
                **{name: quantile(times, part) for name, part in PARTS.items()},
            }
            for outcome, times in times_of(found)
        },
        "dry_run": {
            "recipients": [
                {"refused": refused, "answer": answer, "count": count}
                for (refused, answer), count in found.dry_run.cells.most_common()
            ],
            "reasons": [
                {"answer": answer, "reason": reason, "count": count}
                for (answer, reason), count in found.dry_run.reasons.most_common()
            ],
            "answers": dict(found.dry_run.answers.most_common()),
            "created": trees(found.dry_run.trees),
            "begins": _stamp_of(found.dry_run.begins),
        },
        "unfinished": found.unfinished,
        "left_out": list(found.left_out),
    }


def _stamp(seconds: float) -> str:
    """A time as a program reads it, as in the log."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))


def _stamp_of(seconds: float | None) -> str | None:
    return None if seconds is None else _stamp(seconds)


def text(found: Report) -> Iterator[str]:
    """The report for people, line by line."""
    yield f"From {period(found)}"
    yield from notes(found)
    if found.is_empty:
        yield "No statistics for this period. Running processes write theirs once a minute."
        return
    yield from _section("Recipients and logins", _recipients(found))
    yield from _section(
        "Verdicts and reasons",
        [
            (f"{count:,}", WORDS[answer], reason or "not ours")
            for answer, reason, count in found.reasons[:20]
        ],
    )
    yield from _section("Mailboxes created", _trees(found.total.created))
    yield from _section(
        "Most frequent unknown recipients", _most_frequent(found.total.unknown.most(20))
    )
    yield from _section(
        "Clients that sent to them most", _most_frequent(found.total.clients.most(20))
    )
    yield from _section(
        "Time until the verdict (median, 95th and 99th percentile)",
        [(f"{count:,}", WORDS[it], *rest) for it, count, *rest in quantiles(found)],
    )
    yield from _section(
        "Dry run: what the MTA did, and what we would say",
        [(f"{count:,}", *it) for it, count in cells_of(found)],
    )
    yield from _section(
        "Dry run: verdicts and reasons",
        [
            (f"{count:,}", WORDS[answer], reason)
            for (answer, reason), count in found.dry_run.reasons.most_common(20)
        ],
    )
    yield from _section(
        "Dry run: answers, distinct recipients",
        [(f"{count:,}", WORDS[answer]) for answer, count in found.dry_run.answers.most_common()],
    )
    yield from _section("Dry run: mailboxes that would be created", _trees(found.dry_run.trees))
    if found.unfinished:
        yield ""
        yield f"Unfinished trees now: {found.unfinished}"


def _recipients(found: Report) -> list[tuple[str, ...]]:
    return [(f"{count:,}", WORDS[outcome]) for outcome, count in found.outcomes.most_common()]


def _trees(counts: Any) -> list[tuple[str, ...]]:
    return [
        (f"{n:,}", f"policy {policy}", domain) for (policy, domain), n in counts.most_common(20)
    ]


def _most_frequent(names: list[tuple[str, int]]) -> list[tuple[str, ...]]:
    return [(f"{count:,}", name) for name, count in names]


def _section(title: str, rows: list[tuple[str, ...]]) -> Iterator[str]:
    """A heading and its rows, the first cell to the right and the others to the left."""
    if not rows:
        return
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    yield ""
    yield title
    for first, *rest in rows:
        cells = [cell.ljust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        yield f"  {first.rjust(widths[0])}  {'  '.join(cells)}".rstrip()
