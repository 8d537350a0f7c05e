"""`autocreate report`: the statistics in the journal, as text, JSON or an HTML page."""

import json
import os
import re
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autocreate.cli.options import config_option

if TYPE_CHECKING:
    from autocreate.report.gather import Report

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

_MOST_WARNINGS = 10


class _Duration(click.ParamType):  # type: ignore[type-arg]
    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        match = re.fullmatch(r"(\d{1,6})([mhdw])", str(value))
        if not match:
            self.fail(f'{value!r} is not a duration: write it like "24h" or "7d"', param, ctx)
        return float(match[1]) * _UNITS[match[2]]


@click.command()
@config_option
@click.option(
    "--since",
    type=_Duration(),
    default="7d",
    show_default=True,
    help="How far back: 30m, 24h, 7d, 52w. Hours are kept for five weeks, days for two years.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    help="Write an HTML page with plots to this file. The page needs no network.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def report(config_path: Path, since: float, html: Path | None, as_json: bool) -> None:
    """Report statistics: recipients, verdicts, new mailboxes and times, with or without dry run.

    Milter and login processes write their statistics to the journal once a minute and when they stop.
    Processes that share a journal are added up. What the journal does not have any more is said.
    Invalid rows of the journal are skipped with a warning. Changes nothing.
    """
    if html and as_json:
        raise click.UsageError("give --html or --json, not both")

    from contextlib import closing

    from autocreate.config import load
    from autocreate.report.gather import gather
    from autocreate.report.text import data, text
    from autocreate.wiring.service import journal_of

    now = time.time()
    with closing(journal_of(load(config_path))) as journal:
        found = gather(journal, now - since, now)
    _warn(found.left_out)
    if html:
        _write_page(html, found)
    elif as_json:
        click.echo(json.dumps(data(found)))
    else:
        click.echo("\n".join(text(found)))


def _warn(left_out: Sequence[str]) -> None:
    from autocreate.core.printable import printable

    for row in left_out[:_MOST_WARNINGS]:
        click.echo(f"autocreate: skipped an invalid row of the journal: {printable(row)}", err=True)
    if (more := len(left_out) - _MOST_WARNINGS) > 0:
        rows = "row" if more == 1 else "rows"
        click.echo(f"autocreate: skipped {more:,} more invalid {rows}", err=True)


def _write_page(path: Path, found: "Report") -> None:
    from autocreate.report.page import page

    try:
        # A name that is not valid text must not prevent the page.
        path.write_text(
            page(found, socket.gethostname()), encoding="utf-8", errors="backslashreplace"
        )
    except OSError as error:
        click.echo(f"autocreate: {path}: cannot be written: {error.strerror}", err=True)
        sys.exit(os.EX_IOERR)
    click.echo(f"{path}: written")
