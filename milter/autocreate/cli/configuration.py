"""The command that checks the configuration file."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autocreate.cli.groups import Group
from autocreate.cli.init import config_init
from autocreate.cli.options import config_option, json_option
from autocreate.core.printable import counted, printable, printable_lines
from autocreate.errors import ConfigurationError

if TYPE_CHECKING:
    from autocreate.config.sections import Config


@click.group(cls=Group)
def config() -> None:
    """Write a first configuration, check it, or show what is in effect."""


config.add_command(config_init)


@config.command("check")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def config_check(config_path: Path, as_json: bool) -> None:
    """Read the configuration and report every mistake in it. Connects to nothing.

    Shows what was taken from imapd.conf and which of its options have no effect here. Also reports
    Sieve scripts that do not compile, if Cyrus's compiler is on this machine.

    Exit status: 0 the configuration is correct; 78 it is wrong.
    """
    from autocreate.config import load

    try:
        settings = load(config_path)
    except ConfigurationError as error:
        if not as_json:
            raise
        data = {"file": str(config_path), "good": False, "problems": error.problems}
        data["lines"] = error.lines
        click.echo(json.dumps(data))
        sys.exit(error.exit_status)
    if as_json:
        click.echo(json.dumps(_data(config_path, settings)))
    else:
        _show(config_path, settings)


@config.command("show")
@config_option
@json_option
@click.option("--changed", is_flag=True, help="Only what a file says; not the defaults.")
def config_show(config_path: Path, as_json: bool, changed: bool) -> None:
    """Show the value of every key, and where it comes from: a line of a file, or the default.

    What is taken from imapd.conf has its line there. Sections that the file does not have and that do
    nothing without it are left out. Passwords are not shown: they are in files of their own.
    """
    from autocreate.admin.effective import effective
    from autocreate.config import load

    for setting in effective(load(config_path), config_path):
        if changed and not setting.is_changed:
            continue
        if as_json:
            data = {"key": setting.key, "value": setting.value, "place": setting.place}
            click.echo(json.dumps(data))
        else:
            click.echo(printable(f"{setting.text}   # {setting.place}"))


def _show(config_path: Path, settings: "Config") -> None:
    click.echo(
        f"{config_path}: ok: {counted(len(settings.accounts), 'account source')}, "
        f"{counted(len(settings.policy), 'policy', 'policies')}, mode {settings.milter.mode}"
    )
    imapd = settings.cyrus.imapd_conf
    for line in _from_imapd_conf(settings):
        click.echo(printable(f"{imapd.path if imapd else ''}: {line}"))
    for notice in _notices(settings):
        click.echo(printable_lines(f"notice: {notice}"))


def _data(config_path: Path, settings: "Config") -> dict[str, Any]:
    imapd = settings.cyrus.imapd_conf
    return {
        "file": str(config_path),
        "good": True,
        "problems": [],
        "account_sources": len(settings.accounts),
        "policies": len(settings.policy),
        "mode": settings.milter.mode,
        "imapd_conf": {"file": imapd.path, "taken": _from_imapd_conf(settings)} if imapd else None,
        "notices": _notices(settings),
    }


def _from_imapd_conf(settings: "Config") -> list[str]:
    """What was taken from imapd.conf, a line each."""
    from autocreate.imapdconf.text import as_text

    imapd = settings.cyrus.imapd_conf
    return as_text(imapd) if imapd else []


def _notices(settings: "Config") -> list[str]:
    """What is not wrong, and still should be known."""
    from autocreate.admin import annotations
    from autocreate.admin.scripts import notices
    from autocreate.wiring.policies import policies_of, scripts
    from autocreate.wiring.tools import compiler_of

    imapd = settings.cyrus.imapd_conf
    of_scripts = notices(scripts(settings), compiler_of(settings))
    of_annotations = annotations.notices(policies_of(settings), imapd)
    unwatched = [
        f"{key} is not watched: write changed_query, or list_query"
        for key in (settings.unwatched if settings.watch else ())
    ]
    of_journal = _of_journal(settings.journal.url)
    return [
        *(imapd.notices if imapd else ()),
        *(*of_annotations, *of_scripts, *unwatched, *of_journal),
    ]


def _of_journal(url: str) -> list[str]:
    """Whether a journal of SQLite is older or newer than this program. doctor asks servers, too."""
    import sqlite3

    from sqlalchemy.exc import SQLAlchemyError

    from autocreate.doctor.probe_journal import judged, path_of, version_of_file

    path = path_of(url)
    if not path:
        return []
    try:
        is_there = path.exists()  # else the milter creates it
        found = judged(version_of_file(path)) if is_there else ()
        return [f"{it.what}: {it.remedy}" for it in found]
    except (OSError, sqlite3.Error, SQLAlchemyError):
        return []  # doctor tells
