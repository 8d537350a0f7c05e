"""`autocreate report`: what was seen, as text or as a page."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autocreate.cli.options import config_option

if TYPE_CHECKING:
    from autocreate.admin.report import Report

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

WORDS = {
    "accept": "accepted",
    "created": "accepted, mailbox created",
    "unknown": "unknown (550)",
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
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Write a page with plots into this file, for any browser, now or without a network.",
)
def report(config_path: Path, since: float, html: Path | None) -> None:
    """Say what was seen, in dry run or in earnest: recipients, verdicts, new mailboxes, times.

    Processes that serve write what they counted to the journal once a minute, and when they end;
    several on one journal add up. Changes nothing.
    """
    from autocreate.cli.reportpage import page
    from autocreate.config import load
    from autocreate.wiring.tools import make_report

    now = time.time()
    found = make_report(load(config_path), now - since, now)
    if html:
        try:
            html.write_text(page(found), encoding="utf-8")
        except OSError as error:
            raise click.FileError(str(html), error.strerror) from error
        click.echo(f"{html}: written")
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
    from autocreate.admin.report import OUTCOMES
    from autocreate.core.tally import Times

    for outcome in OUTCOMES:
        times = Times()
        for (_, name), it in found.total.times.items():
            if name == outcome:
                times.merge(it)
        if times.total:
            half, most, nearly = (milliseconds(times.quantile(it)) for it in (0.5, 0.95, 0.99))
            yield outcome, times.total, half, most, nearly


def _text(found: "Report") -> Iterator[str]:
    yield f"From {moment(found.since)} to {moment(found.until)}"
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
    if not rows:
        return
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    yield ""
    yield title
    for first, *rest in rows:
        cells = [cell.ljust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        yield f"  {first.rjust(widths[0])}  {'  '.join(cells)}".rstrip()
