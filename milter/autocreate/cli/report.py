"""`autocreate report`: what was seen, as text, as JSON or as a page."""

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import click

from autocreate.cli.options import config_option

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

_MOST_WARNINGS = 10


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

    from autocreate.config import load
    from autocreate.core.printable import printable
    from autocreate.report.page import page
    from autocreate.report.text import data, text
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
        click.echo(json.dumps(data(found)))
    else:
        click.echo("\n".join(text(found)))
