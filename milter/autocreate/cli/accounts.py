"""`autocreate accounts` and `autocreate cache`: the account sources, and the caches of running processes."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autocreate.cli.groups import Group
from autocreate.cli.options import config_option, json_option
from autocreate.core.printable import counted, printable

if TYPE_CHECKING:
    from autocreate.doctor.source_report import SourceReport


@click.group(cls=Group)
def accounts() -> None:
    """Check the account sources."""


@accounts.command("check")
@config_option
@json_option
@click.option("--user", help="Also look up this user id or address, as for mail to it.")
def accounts_check(config_path: Path, as_json: bool, user: str | None) -> None:
    """Query every account source, alias table and domain table, and report problems. Changes nothing.

    Exit status: 0 all answer; 65 no source knows the user; 75 a lookup failed or is not certain, try
    again; 78 the configuration of one is wrong.
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


@click.group(cls=Group)
def cache() -> None:
    """Show or clear the caches of running processes."""


@cache.command("show")
@config_option
@json_option
def cache_show(config_path: Path, as_json: bool) -> None:
    """Show what the running processes have cached, for how long, and the statistics of their sources.

    Statistics count from the start of a process; a reload does not reset them.
    """
    for path, stats in _each(config_path, "figures"):
        if as_json:
            click.echo(json.dumps({"process": str(path), **stats}))
        else:
            click.echo("\n".join(map(printable, _explained(path, stats))))


@cache.command("clear")
@config_option
@json_option
@click.option("--user", help="Clear this user only.")
def cache_clear(config_path: Path, as_json: bool, user: str | None) -> None:
    """Clear the caches, so that the account sources and Cyrus are asked again.

    MTAs that share a journal on PostgreSQL clear theirs, too. Elsewhere run it on each of them.
    """
    for path, _ in _each(config_path, "forget", user=user, everywhere=True):
        if as_json:
            click.echo(json.dumps({"process": str(path), "forgotten": user}))
        else:
            click.echo(f"{path}: cleared: {printable(user) if user else 'all users'}")


def show_reports(reports: "Sequence[SourceReport]", as_json: bool) -> None:
    """Print the reports about account sources or tables."""
    for report in reports:
        if as_json:
            click.echo(json.dumps(asdict(report)))
            continue
        state = "ok" if report.status in (0, 65) else "FAILED"
        click.echo(f"{report.source}: {state}")
        click.echo("".join(f"  {printable(line)}\n" for line in report.lines), nl=False)


def _each(config_path: Path, question: str, **details: Any) -> Iterator[tuple[Path, Any]]:
    """The answers of all processes that run with this configuration: one, or milter and login."""
    from autocreate.config import load
    from autocreate.errors import Temporary
    from autocreate.frontends.control_client import ask
    from autocreate.wiring.control_sockets import control_sockets

    places = control_sockets(load(config_path))
    if not places:
        raise Temporary("there is no control socket: set milter.control")
    running = [path for path in places if path.exists()] or places[:1]
    for path in running:
        yield path, ask(path, question, **details)


def _explained(path: Path, stats: Mapping[str, Any]) -> Iterator[str]:
    ready = stats["ready"]
    yield f"{path}:"
    yield (
        f"  mailboxes: {counted(ready['users'], 'user')} cached (maximum {ready['size']}), accepted without a lookup "
        f"for {ready['seconds']:g} s each"
    )
    if lmtp := stats["lmtp"]:
        yield from _lmtp_explained(lmtp)
    for name, source in stats["sources"].items():
        lookups = source["lookups"]
        mean = f", {source['seconds'] / lookups * 1000:.1f} ms each" if lookups else ""
        yield (
            f"  accounts.{name}: {counted(lookups, 'lookup')}{mean}, "
            f"{counted(source['errors'], 'error')}; {counted(source['hits'], 'cache hit')}"
        )
        for kind, words in (
            ("found", "found"),
            ("unknown", "not found"),
            ("error", "lookup failed"),
        ):
            held = source["remembered"][kind]
            users = counted(held["users"], "user")
            yield f"    {users} {words}, cached for {held['seconds']:g} s each"
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
        f"  lmtpd: {counted(lookups, 'lookup')}{mean}, {counted(lmtp['errors'], 'error')}; "
        f"{counted(lmtp['hits'], 'cache hit')}"
    )
    users = counted(held["users"], "user")
    yield f"    {users} cached (maximum {held['size']}), for {held['seconds']:g} s each"
    if lmtp["last_error"]:
        yield f"    last error: {lmtp['last_error']}"


def _aliases_explained(aliases: Mapping[str, Any]) -> Iterator[str]:
    held = aliases["remembered"]
    addresses = counted(held["addresses"], "address", "addresses")
    yield (
        f"  aliases: {addresses} cached (maximum {held['size']}), not looked up again "
        f"for {held['seconds']:g} s each"
    )
    yield from _tables_explained("aliases", aliases["tables"])


def _domains_explained(domains: Mapping[str, Any]) -> Iterator[str]:
    held = domains["remembered"]
    hosted, other = held["hosted"], held["other"]
    yield (
        f"  domains: {hosted['domains']} ours cached (maximum {held['size']}), for "
        f"{hosted['seconds']:g} s each; {other['domains']} not ours, for {other['seconds']:g} s each"
    )
    yield from _tables_explained("domains", domains["tables"])


def _tables_explained(section: str, tables: Mapping[str, Any]) -> Iterator[str]:
    for name, table in tables.items():
        lookups = table["lookups"]
        mean = f", {table['seconds'] / lookups * 1000:.1f} ms each" if lookups else ""
        yield f"  {section}.{name}: {counted(lookups, 'lookup')}{mean}, {counted(table['errors'], 'error')}"
        if table["last_error"]:
            yield f"    last error: {table['last_error']}"
