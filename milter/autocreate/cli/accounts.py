"""`autocreate accounts` and `autocreate cache`: what the account sources say, and what is remembered."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autocreate.cli.options import config_option, json_option
from autocreate.core.printable import printable

if TYPE_CHECKING:
    from autocreate.doctor.source_report import SourceReport


@click.group()
def accounts() -> None:
    """Look at the account sources."""


@accounts.command("check")
@config_option
@json_option
@click.option("--user", help="Ask for this user id or address too, as mail to it would.")
def accounts_check(config_path: Path, as_json: bool, user: str | None) -> None:
    """Ask every account source, and every table of aliases and of domains, and say what is wrong.

    Changes nothing. Exit status: 0 all are well; 65 no source knows the user; 75 one cannot be asked, or
    a table leaves doubts; 78 one must be configured otherwise.
    """
    from autocreate.config import load
    from autocreate.doctor import probe_accounts, probe_tables
    from autocreate.wiring.sources import account_makers, alias_makers, domain_makers
    from autocreate.wiring.users import users_of

    config = load(config_path)
    sources = probe_accounts.check(account_makers(config), users_of(config), user)
    tables = probe_tables.check(domain_makers(config), alias_makers(config))
    show_reports([*sources, *tables], as_json)
    sys.exit(max([probe_accounts.overall(sources), *(table.status for table in tables)]))


@click.group()
def cache() -> None:
    """Look into the caches of the process that serves, or empty them."""


@cache.command("show")
@config_option
@json_option
def cache_show(config_path: Path, as_json: bool) -> None:
    """Say what the process that serves remembers, for how long, and what its sources cost.

    What sources cost counts from its start, whatever was reloaded since.
    """
    for path, stats in _each(config_path, "figures"):
        if as_json:
            click.echo(json.dumps({"process": str(path), **stats}))
        else:
            click.echo("\n".join(_explained(path, stats)))


@cache.command("clear")
@config_option
@json_option
@click.option("--user", help="Forget this user only.")
def cache_clear(config_path: Path, as_json: bool, user: str | None) -> None:
    """Make the process that serves ask again: its account sources, and Cyrus."""
    for path, _ in _each(config_path, "forget", user=user):
        if as_json:
            click.echo(json.dumps({"process": str(path), "forgotten": user}))
        else:
            click.echo(f"{path}: forgotten: {printable(user) if user else 'all users'}")


def show_reports(reports: "Sequence[SourceReport]", as_json: bool) -> None:
    """Print what was seen of account sources or tables of aliases."""
    for report in reports:
        if as_json:
            click.echo(json.dumps(asdict(report)))
            continue
        state = {0: "well", 65: "well"}.get(report.status, "WRONG")
        click.echo(f"{report.source}: {state}")
        click.echo("".join(f"  {printable(line)}\n" for line in report.lines), nl=False)


def _each(config_path: Path, question: str, **details: Any) -> Iterator[tuple[Path, Any]]:
    """The answers of all processes that run by this configuration: one, or milter and login."""
    from autocreate.config import load
    from autocreate.errors import Temporary
    from autocreate.frontends.control import ask
    from autocreate.wiring.frontends import control_sockets

    places = control_sockets(load(config_path))
    if not places:
        raise Temporary("there is no control socket; milter.control says where it is to be")
    running = [path for path in places if path.exists()] or places[:1]
    for path in running:
        yield path, ask(path, question, **details)


def _explained(path: Path, stats: Mapping[str, Any]) -> Iterator[str]:
    ready = stats["ready"]
    yield f"{path}:"
    yield (
        f"  {ready['users']} users (of {ready['size']} at most) are accepted without any look-up, each "
        f"for {ready['seconds']:g} s"
    )
    if lmtp := stats["lmtp"]:
        yield from _lmtp_explained(lmtp)
    for name, source in stats["sources"].items():
        lookups = source["lookups"]
        mean = f", {source['seconds'] / lookups * 1000:.1f} ms each" if lookups else ""
        yield (
            f"  accounts.{name}: asked {lookups} times{mean}, {source['errors']} errors; "
            f"{source['hits']} times a cache knew"
        )
        for kind, words in (("found", "found"), ("unknown", "not found"), ("error", "in doubt")):
            held = source["remembered"][kind]
            yield f"    {held['users']} users {words}, each remembered for {held['seconds']:g} s"
        if source["last_error"]:
            yield f"    last error: {source['last_error']}"
    if domains := stats["domains"]:
        yield from _domains_explained(domains)
    if aliases := stats["aliases"]:
        yield from _aliases_explained(aliases)


def _lmtp_explained(lmtp: Mapping[str, Any]) -> Iterator[str]:
    held, lookups = lmtp["remembered"], lmtp["lookups"]
    mean = f", {lmtp['seconds'] / lookups * 1000:.1f} ms each" if lookups else ""
    yield (
        f"  lmtpd: asked {lookups} times{mean}, {lmtp['errors']} without an answer; "
        f"{lmtp['hits']} times the answer was remembered"
    )
    yield (
        f"    {held['users']} users (of {held['size']} at most) are not asked about again, each for "
        f"{held['seconds']:g} s"
    )
    if lmtp["last_error"]:
        yield f"    last error: {lmtp['last_error']}"


def _aliases_explained(aliases: Mapping[str, Any]) -> Iterator[str]:
    held = aliases["remembered"]
    yield (
        f"  {held['addresses']} addresses (of {held['size']} at most) are not looked up in [aliases], "
        f"each for {held['seconds']:g} s"
    )
    yield from _tables_explained("aliases", aliases["tables"])


def _domains_explained(domains: Mapping[str, Any]) -> Iterator[str]:
    held = domains["remembered"]
    hosted, other = held["hosted"], held["other"]
    yield (
        f"  {hosted['domains']} domains (of {held['size']} at most) are remembered as ours, each for "
        f"{hosted['seconds']:g} s; {other['domains']} as others', each for {other['seconds']:g} s"
    )
    yield from _tables_explained("domains", domains["tables"])


def _tables_explained(section: str, tables: Mapping[str, Any]) -> Iterator[str]:
    for name, table in tables.items():
        lookups = table["lookups"]
        mean = f", {table['seconds'] / lookups * 1000:.1f} ms each" if lookups else ""
        yield f"  {section}.{name}: asked {lookups} times{mean}, {table['errors']} errors or doubts"
        if table["last_error"]:
            yield f"    last: {table['last_error']}"
