"""`autocreate unfinished`: the trees that could not be made completely."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autocreate.cli.groups import Group
from autocreate.cli.interruption import interruptible
from autocreate.cli.opening import open_components
from autocreate.cli.options import config_option, json_option
from autocreate.core.printable import counted, printable

if TYPE_CHECKING:
    from autocreate.service.journal import Entry, Journal


@click.group(cls=Group)
def unfinished() -> None:
    """List, retry or drop unfinished trees."""


@unfinished.command("list")
@config_option
@json_option
def list_(config_path: Path, as_json: bool) -> None:
    """List the mailboxes that could not be created completely, with the last error and the next attempt.

    Reads the journal; no process has to run. The most urgent come first.
    """
    from autocreate.admin.unfinished import entries_of

    with _journal(config_path) as journal:
        entries = sorted(entries_of(journal), key=lambda it: it.next_try)
    for entry in entries:
        click.echo(json.dumps(asdict(entry)) if as_json else printable(_line(entry)))
    if not as_json:
        trees = "tree" if len(entries) == 1 else "trees"
        click.echo(f"{len(entries)} unfinished {trees}", err=True)


@unfinished.command()
@click.argument("users", metavar="[USER...]", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Retry all of them.")
@config_option
@json_option
def retry(users: tuple[str, ...], is_all: bool, config_path: Path, as_json: bool) -> None:
    """Try to finish trees now, instead of waiting for the next attempt.

    Exit status: 0 they are finished; 65 a user has no unfinished tree; 75 something failed again, and
    is retried later; 78 milter.mode is dry-run; 130 interrupted.
    """
    from autocreate.admin import unfinished as work
    from autocreate.cli.render import json_line, text_lines

    if bool(users) == is_all:
        raise click.UsageError("name users, or give --all")
    status = 0
    with (
        interruptible("run the same command again to go on"),
        open_components(config_path) as components,
    ):
        for user, verdict in work.retry(components, work.entries_of(components.journal, users)):
            status = max(status, verdict.exit_status)
            lines = [json_line(user, verdict)] if as_json else text_lines(user, verdict, "did")
            click.echo("\n".join(lines))
    sys.exit(status)


@unfinished.command()
@click.argument("users", metavar="USER...", nargs=-1, required=True)
@config_option
@json_option
def drop(users: tuple[str, ...], config_path: Path, as_json: bool) -> None:
    """Forget that trees are unfinished, so that they are not retried.

    Nothing is deleted: mailboxes and mail stay as they are. If the user's INBOX does not exist, the
    next mail or login creates it. `apply` completes a tree at any time.

    Exit status: 0 success; 65 a user has no unfinished tree: nothing is forgotten.
    """
    from autocreate.admin import unfinished as work

    with _journal(config_path) as journal:
        entries = work.entries_of(journal, users)
        work.drop(journal, entries)
    for entry in entries:
        click.echo(
            json.dumps({"dropped": entry.user}) if as_json else printable(f"{entry.user}: dropped")
        )


def _line(entry: "Entry") -> str:
    state = "INBOX exists" if entry.usable else "no mail is accepted"
    attempts = counted(entry.attempts, "attempt")
    due = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.next_try))
    error = f": {entry.error}" if entry.error else ""
    return f"{entry.user}: {state}, {attempts}, next {due}{error}"


@contextmanager
def _journal(config_path: Path) -> Iterator["Journal"]:
    from autocreate.config import load
    from autocreate.wiring.service import journal_of

    with closing(journal_of(load(config_path))) as journal:
        yield journal
