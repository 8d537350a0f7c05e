"""`autocreate explain`: how a decision comes about."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autocreate.cli.options import config_option

if TYPE_CHECKING:
    from autocreate.admin.explain import Option, PolicyLook, SourceAnswer, User
    from autocreate.wiring.tools import Explanation


@click.command()
@click.argument("address")
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--mailer", help="As if the MTA had named this transport, as in {rcpt_mailer}.")
def explain(address: str, config_path: Path, as_json: bool, mailer: str | None) -> None:
    """Say how the decision about a recipient comes about, step by step. Changes nothing.

    As `check`, but every account source is asked and every policy is looked at, whether the
    decision needs it or not. What the configuration says of each is shown with its file and line.
    """
    from autocreate.cli.render import as_data
    from autocreate.config import load
    from autocreate.core.printable import printable
    from autocreate.model import Recipient
    from autocreate.wiring.tools import explained

    found = explained(config_path, load(config_path), Recipient(address, mailer=mailer))
    if as_json:
        told = {
            **as_data(address, found.verdict),
            "settings": asdict(found.settings),
            "users": [asdict(user) for user in found.users],
        }
        click.echo(json.dumps(told))
    else:
        click.echo("\n".join(map(printable, _text(address, found))))
    sys.exit(found.verdict.exit_status)


def _text(address: str, found: "Explanation") -> Iterator[str]:
    verdict = found.verdict
    yield f"{address}: {verdict.answer.value}"
    yield ""
    yield "Recipient"
    yield from _section("what is ours", map(_written, found.settings.ours))
    yield from _section(
        "domain tables",
        (line for it in found.settings.domain_tables for line in _source("domains", it)),
    )
    yield from _section("how an address becomes a user", map(_written, found.settings.user))
    yield from _section(
        "alias tables", [f"{it.text}: {it.place}" for it in found.settings.alias_tables]
    )
    yield from _section("aliases that were followed", verdict.aliases)
    for user in found.users:
        yield from _user(user)
    from autocreate.tree.plan import as_text

    yield ""
    yield "Decision"
    yield f"  {verdict.reason}"
    for plan in verdict.plans:
        yield from (f"  would {line}" for line in as_text(plan))
    for note in verdict.notes:
        yield f"  note: {note}"
    reply = replace(verdict, suppressed="").reply
    yield f"  reply: {' '.join(reply) if reply else 'none, the MTA goes on'}"
    if verdict.suppressed:
        yield f"  suppressed: {verdict.suppressed}"


def _user(user: "User") -> Iterator[str]:
    yield ""
    yield f"User {user.user}, for {user.address}"
    yield from _section(
        "account sources", (line for it in user.sources for line in _source("accounts", it))
    )
    yield from _section("policies", (line for it in user.policies for line in _policy(it)))
    yield from _section("the policy as it is written", map(_written, user.options))
    yield from _section("the tree it calls for", user.tree)
    yield from _section("what stands", user.standing)


def _section(heading: str, lines: Iterable[str]) -> Iterator[str]:
    lines = list(lines)
    if lines:
        yield f"  {heading}"
        yield from (f"    {line}" for line in lines)


def _source(section: str, source: "SourceAnswer") -> Iterator[str]:
    yield f"{section}.{source.source}: {source.answer} ({source.milliseconds} ms)"
    yield f"  {source.place}"
    for name, value in source.attributes:
        yield f"  {name} = {value}"
    if source.groups is not None:
        yield f"  groups: {', '.join(source.groups) or 'none'}"


def _policy(look: "PolicyLook") -> Iterator[str]:
    if not look.policy:
        yield look.why
        return
    yield f"{look.policy}: {'counts' if look.counts else 'no'}: {look.why}"
    if look.place:
        yield f"  {look.place}"


def _written(option: "Option") -> str:
    return f"{option.place}: {option.text}"
