"""`autocreate journal`: what the journal has, its version, and a copy in another database."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autocreate.cli.groups import Group
from autocreate.cli.interruption import interruptible
from autocreate.cli.options import config_option, json_option
from autocreate.core.printable import counted, printable

if TYPE_CHECKING:
    from autocreate.admin.journals import Place
    from autocreate.service.journal_copy import Copied

_INTERVAL = 10.0  # seconds between lines of progress
_NAMED = 20  # rejected rows of a table that are named

_file = click.Path(path_type=Path, dir_okay=False)


@click.group(cls=Group, invoke_without_command=True)
@config_option
@json_option
@click.pass_context
def journal(context: click.Context, config_path: Path, as_json: bool) -> None:
    """Show the journal, upgrade it, or copy it into another database.

    Without a command, as `journal show`.
    """
    if context.invoked_subcommand is None:
        context.invoke(show, config_path=config_path, as_json=as_json)


@journal.command()
@config_option
@json_option
def show(config_path: Path, as_json: bool) -> None:
    """Show where the journal is, its version, and how many rows its tables have. Changes nothing.

    Passwords are not shown.
    """
    from autocreate.admin.journals import contents
    from autocreate.service.journal_schema import VERSION

    found = contents(_configured(config_path))
    schema = found.schema
    if as_json:
        data = {
            "url": found.place,
            "version": schema.version,
            "program": VERSION,
            "oldest_program": schema.oldest,
            "since": schema.since,
            "difference": schema.difference,
            "rows": found.rows,
        }
        click.echo(json.dumps(data))
        return
    click.echo(printable(f"journal    {found.place}"))
    if not schema.version:
        click.echo("version    none: it is created when a process or `journal upgrade` opens it")
        return
    since = f", since {_local(schema.since)}" if schema.since else ""
    click.echo(f"version    {schema.version}{since}; this program: {VERSION}")
    if schema.difference:
        click.echo(f"notice     {schema.difference}")
    if schema.missing:
        click.echo(f"missing    {', '.join(schema.missing)}")
    for table, rows in found.rows.items():
        click.echo(f"{table:10} {rows:,}")


@journal.command()
@config_option
@click.option("--url", help="Another journal than that of the configuration, or another user.")
@click.option("--password-file", type=_file, help="The password for --url, in its first line.")
@json_option
def upgrade(config_path: Path, url: str | None, password_file: Path | None, as_json: bool) -> None:
    """Bring the journal to the version of this program, or create it.

    Processes upgrade the journal when they start. This command is for a database user who may
    create tables, where theirs may not; and for steps after which earlier versions must stop. MTAs
    may run meanwhile. It is safe to repeat.

    Exit status: 0 the journal has this program's version; 75 it cannot be upgraded.
    """
    from autocreate.admin import journals

    place = _place(url, password_file) if url else _configured(config_path)
    before, steps = journals.upgrade(place)
    if as_json:
        data = {"before": before.version, "steps": [it.version for it in steps]}
        click.echo(json.dumps(data))
        return
    for step in steps:
        click.echo(f"{step.version}: {step.adds}")
    if not steps:
        click.echo(f"nothing to do: version {before.version}{_more(before.difference)}")
    elif before.version:
        click.echo(f"upgraded from version {before.version} to {steps[-1].version}")
    else:
        click.echo(f"created, version {steps[-1].version}")


@journal.command()
@click.argument("target", metavar="URL")
@click.option("--password-file", type=_file, help="The password for URL, in its first line.")
@click.option("--from", "source", metavar="URL", help="What to copy; else the configured journal.")
@click.option(
    "--from-password-file", type=_file, help="The password for --from, in its first line."
)
@config_option
@json_option
def copy(
    target: str,
    password_file: Path | None,
    source: str | None,
    from_password_file: Path | None,
    config_path: Path,
    as_json: bool,
) -> None:
    """Copy the journal into another database: SQLite, PostgreSQL, MariaDB or MySQL, in any direction.

    What the other one has already is kept and merged, so the command can be repeated and interrupted.
    Nothing is deleted from the journal that is copied, and processes may use both meanwhile. New
    mailboxes in progress and hooks that are due are copied only while no process uses either
    journal: otherwise both would do the work.

    To move to another database: copy, stop the MTAs, copy again, change `journal.url`, start them.

    Exit status: 0 everything is copied; 65 a row was rejected, or the journals cannot be copied; 75
    something is left to copy, or a database cannot be used; 130 interrupted.
    """
    from autocreate.admin import journals

    old = _place(source, from_password_file) if source else _configured(config_path)
    new = _place(target, password_file)
    status = 0
    with interruptible("run the same command again to go on"):
        for copied in journals.copy(old, new, _progress()):
            if as_json:
                click.echo(json.dumps(_data(copied)))
            else:
                click.echo(_line(copied))
                for reason in copied.rejected[:_NAMED]:
                    click.echo(printable(f"  rejected: {reason}"))
            status = max(status, 65 if copied.rejected else 0, 75 if copied.left else 0)
    if status == 75:
        click.echo("stop all processes that use either journal, and run this again", err=True)
    sys.exit(status)


def _line(copied: "Copied") -> str:
    parts = [
        f"{copied.rows:,} rows",
        f"{copied.new:,} new",
        *([f"{copied.changed:,} changed"] if copied.changed else []),
        *([f"{len(copied.rejected):,} rejected"] if copied.rejected else []),
        *([f"{copied.left:,} left, as a process uses a journal"] if copied.left else []),
    ]
    return f"{copied.table:10} {', '.join(parts)}"


def _data(copied: "Copied") -> dict[str, Any]:
    return {
        "table": copied.table,
        "rows": copied.rows,
        "new": copied.new,
        "changed": copied.changed,
        "left": copied.left,
        "rejected": copied.rejected,
    }


def _progress() -> Callable[[str, int], None]:
    """Prints a line on stderr every 10 seconds."""
    last = time.monotonic()

    def tell(table: str, rows: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _INTERVAL:
            last = time.monotonic()
            click.echo(f"{table}: {counted(rows, 'row')} so far", err=True)

    return tell


def _more(difference: str) -> str:
    return f" ({difference})" if difference else ""


def _local(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _configured(config_path: Path) -> "Place":
    from autocreate.admin.journals import Place
    from autocreate.config import load

    settings = load(config_path).journal
    return Place(settings.url, settings.password_file)


def _place(url: str, password_file: Path | None) -> "Place":
    """A journal that is named on the command line, by the rules of the configuration."""
    from pydantic import ValidationError

    from autocreate.admin.journals import Place
    from autocreate.config.sections import Journal

    try:
        settings = Journal(url=url, password_file=password_file)
    except ValidationError as error:
        problem = error.errors()[0]
        text = str(problem["msg"]).removeprefix("Value error, ")
        raise click.UsageError(f"{'.'.join(map(str, problem['loc']))}: {text}") from error
    return Place(settings.url, settings.password_file)
