"""`autocreate report`: what was seen, as text, as JSON or as a page."""

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autocreate.cli.options import config_option

if TYPE_CHECKING:
    from autocreate.admin.report import Report
    from autocreate.core.tally import Times

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

# Which parts of the times are told, by their names for programs.
_PARTS = {"median": 0.5, "p95": 0.95, "p99": 0.99}

_MOST_WARNINGS = 10

WORDS = {
    "accept": "accepted",
    "created": "accepted, mailbox created",
    "unknown": "unknown (550)",
    "refused": "refused by Cyrus",
    "malformed": "malformed (553)",
    "temporary": "temporary (451)",
    "pass": "passed untouched",
}


class _Duration(click.ParamType):  # type: ignore[type-arg]
    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        match = re.fullmatch(r"(\d{1,6})([mhdw])", str(value))
        if not match:
            self.fail(f'{value!r} is no duration; write it like "24h" or "7d"', param, ctx)
        return float(match[1]) * _UNITS[match[2]]


@click.command()
@config_option
@click.option(
    "--since",
    type=_Duration(),
    default="7d",
    show_default=True,
    help="How far back: 30m, 24h, 7d, 4w. Whole hours count.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    help="Write a page with plots into this file, for any browser, now or without a network.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def report(config_path: Path, since: float, html: Path | None, as_json: bool) -> None:
    """Say what was seen, in dry run or in earnest: recipients, verdicts, new mailboxes, times.

    Processes that serve write what they counted to the journal once a minute, and when they end;
    several on one journal add up. Rows of the journal that make no sense are left out, with a
    warning. Changes nothing.
    """
    if html and as_json:
        raise click.UsageError("--html and --json cannot both be had at once; give one of them")

    from autocreate.cli.reportpage import page
    from autocreate.config import load
    from autocreate.core.printable import printable
    from autocreate.wiring.tools import make_report

    now = time.time()
    found = make_report(load(config_path), now - since, now)
    for row in found.left_out[:_MOST_WARNINGS]:
        click.echo(f"autocreate: left out of the report: journal, {printable(row)}", err=True)
    if (more := len(found.left_out) - _MOST_WARNINGS) > 0:
        click.echo(f"autocreate: left out of the report: {more:,} more rows", err=True)
    if html:
        try:
            # A name that is no text must not keep the page from being written.
            html.write_text(page(found), encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            click.echo(f"autocreate: {html}: cannot be written: {error.strerror}", err=True)
            sys.exit(os.EX_IOERR)
        click.echo(f"{html}: written")
    elif as_json:
        click.echo(json.dumps(_data(found)))
    else:
        click.echo("\n".join(_text(found)))


def moment(seconds: float) -> str:
    """A time as an administrator reads it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def milliseconds(value: float) -> str:
    """A time that took as long: `0.1 ms`, `44 ms`, `1.2 s`."""
    if value == float("inf"):
        return "over 10 s"
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    if value >= 10:
        return f"{value:.0f} ms"
    return f"{value:.2f}".rstrip("0").rstrip(".") + " ms" if value < 1 else f"{value:.2g} ms"


def quantiles(found: "Report") -> Iterator[tuple[str, int, str, str, str]]:
    """(outcome, how many, median, 95 %, 99 %) of the times that verdicts took."""
    for outcome, times in _times(found):
        half, most, nearly = (milliseconds(times.quantile(it)) for it in _PARTS.values())
        yield outcome, times.total, half, most, nearly


def left_out(found: "Report") -> str:
    """That rows of the journal were left out, as a sentence; "" if none was."""
    count = len(found.left_out)
    rows = "1 row" if count == 1 else f"{count:,} rows"
    return (
        f"{rows} of the journal made no sense and {'is' if count == 1 else 'are'} left out"
        if count
        else ""
    )


def _times(found: "Report") -> "Iterator[tuple[str, Times]]":
    """The times of each outcome that there was."""
    from autocreate.admin.report import OUTCOMES
    from autocreate.core.tally import Times

    for outcome in OUTCOMES:
        times = Times()
        for (_, name), it in found.total.times.items():
            if name == outcome:
                times.merge(it)
        if times.total:
            yield outcome, times


def _data(found: "Report") -> dict[str, Any]:
    """The report for programs. Lists have all that is known, the most frequent first."""

    def trees(counts: Any) -> list[dict[str, Any]]:
        return [
            {"policy": policy, "domain": domain, "count": count}
            for (policy, domain), count in counts.most_common()
        ]

    def quantile(times: "Times", part: float) -> float | None:
        value = times.quantile(part)
        return None if value == float("inf") else round(value, 3)

    return {
        "since": _stamp(found.since),
        "until": _stamp(found.until),
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
                **{name: quantile(times, part) for name, part in _PARTS.items()},
            }
            for outcome, times in _times(found)
        },
        "dry_run": {
            "answers": dict(found.dry_run.answers.most_common()),
            "created": trees(found.dry_run.trees),
        },
        "unfinished": found.unfinished,
        "left_out": list(found.left_out),
    }


def _stamp(seconds: float) -> str:
    """A time as a program reads it, as in the log."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))


def _text(found: "Report") -> Iterator[str]:
    yield f"From {moment(found.since)} to {moment(found.until)}"
    if found.left_out:
        yield left_out(found)
    if found.is_empty:
        yield "Nothing was seen. Processes that serve tell what they counted once a minute."
        return
    yield from _section("Recipients and logins", _recipients(found))
    yield from _section(
        "Why",
        [
            (f"{count:,}", WORDS[answer], reason or "not ours")
            for answer, reason, count in found.reasons[:20]
        ],
    )
    yield from _section("Mailboxes created", _trees(found.total.created))
    yield from _section("Unknown recipients asked for most", _busiest(found.total.unknown.most(20)))
    yield from _section("Clients that asked for them", _busiest(found.total.clients.most(20)))
    yield from _section(
        "Time until the verdict (median, 95th and 99th percentile)",
        [(f"{count:,}", WORDS[it], *rest) for it, count, *rest in quantiles(found)],
    )
    yield from _section(
        "Dry run: distinct recipients, as they would be answered",
        [(f"{count:,}", WORDS[answer]) for answer, count in found.dry_run.answers.most_common()],
    )
    yield from _section("Dry run: mailboxes that would be created", _trees(found.dry_run.trees))
    if found.unfinished:
        yield ""
        yield f"Unfinished trees now: {found.unfinished}"


def _recipients(found: "Report") -> list[tuple[str, ...]]:
    return [(f"{count:,}", WORDS[outcome]) for outcome, count in found.outcomes.most_common()]


def _trees(counts: Any) -> list[tuple[str, ...]]:
    return [
        (f"{n:,}", f"policy {policy}", domain) for (policy, domain), n in counts.most_common(20)
    ]


def _busiest(names: list[tuple[str, int]]) -> list[tuple[str, ...]]:
    return [(f"{count:,}", name) for name, count in names]


def _section(title: str, rows: list[tuple[str, ...]]) -> Iterator[str]:
    """A heading and its rows, the first cell to the right and the others to the left."""
    from autocreate.core.printable import printable

    if not rows:
        return
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    yield ""
    yield title
    for first, *rest in rows:
        cells = [cell.ljust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        yield f"  {first.rjust(widths[0])}  {'  '.join(cells)}".rstrip()
