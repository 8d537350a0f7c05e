"""The command that reports inconsistencies."""

import json
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autocreate.cli.interruption import interruptible
from autocreate.cli.opening import open_components
from autocreate.cli.options import config_option
from autocreate.cli.rows import csv_line
from autocreate.cli.selection import Filters, filtered, selecting
from autocreate.core.printable import counted

if TYPE_CHECKING:
    from autocreate.admin.audit import Audit, Discrepancy

_BATCH = 1000  # lines


@click.command()
@selecting
@click.option("--trees", is_flag=True, help="Also compare each tree with its policy. Takes longer.")
@click.option(
    "--restore", is_flag=True, help="With --trees: also report what users have removed themselves."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "csv"]),
    default="text",
    show_default=True,
    help="Output format, one finding per line. CSV begins with a header line, and a cell that a "
    "spreadsheet would take for a formula with an apostrophe.",
)
@config_option
def audit(filters: Filters, trees: bool, restore: bool, form: str, config_path: Path) -> None:
    """Report inconsistencies between accounts, mailboxes and the journal. Changes nothing.

    Reports accounts that should have a mailbox and have none, mailboxes without an account, and trees
    that were begun and not finished. With --trees also reports trees and quotas that differ from
    today's policy, as `apply` would change them. Without options all accounts are checked.

    Exit status: 0 no findings; 1 findings; 75 a server did not answer, try again; 78 the configuration is
    wrong, for instance a source cannot list its users; 130 interrupted.
    """
    from autocreate.admin.audit import Audit, Discrepancy
    from autocreate.admin.survey import Survey

    as_line = {"text": _as_text, "json": _as_json, "csv": csv_line}[form]
    with (
        interruptible("the findings are not complete; run the same command again"),
        open_components(config_path) as components,
        Survey() as survey,
    ):
        checked = Audit(components, survey, filtered(filters), restore)
        if form == "csv":
            click.echo(csv_line(Discrepancy._fields))
        count = 0
        lines = map(as_line, checked.users())
        # One write a line would take longer than to find out what it says.
        while batch := list(islice(lines, _BATCH)):
            click.echo("\n".join(batch))
            count += len(batch)
        if trees:
            count += _show_trees(checked, as_line)
        if form == "text":
            click.echo(
                f"{counted(checked.accounts, 'account')}, "
                f"{counted(checked.mailboxes, 'mailbox', 'mailboxes')}: {counted(count, 'finding')}"
            )
    sys.exit(1 if count else 0)


def _show_trees(checked: "Audit", as_line: "Callable[[Discrepancy], str]") -> int:
    """Print what differs from its policy. Returns how many findings there are."""
    from autocreate.cli.progress import progress

    count = 0
    with progress("compare", checked.count_trees()) as bar, closing(checked.trees()) as trees:
        for differences in trees:
            bar.step()
            for discrepancy in differences:
                bar.say(as_line(discrepancy))
            count += len(differences)
    return count


def _as_text(discrepancy: "Discrepancy") -> str:
    from autocreate.core.printable import printable

    return printable(f"{discrepancy.kind:11} {discrepancy.user}: {discrepancy.detail}")


def _as_json(discrepancy: "Discrepancy") -> str:
    return json.dumps(discrepancy._asdict())
