"""`autocreate explain`: how a decision is made."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autocreate.cli.options import config_option, mailer_option

if TYPE_CHECKING:
    from autocreate.admin.explain import Explanation, Option, PolicyLook, SourceAnswer, User


@click.command()
@click.argument("address")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@mailer_option
def explain(address: str, config_path: Path, as_json: bool, mailer: str | None) -> None:
    """Explain step by step how the decision about a recipient is made. Changes nothing.

    Like `check`, but asks every account source and looks at every policy, even if the decision does
    not need them. Shows the settings behind each step with their file and line.

    Exit status: as of `check`.
    """
    from autocreate.cli.render import as_data
    from autocreate.config import load
    from autocreate.core.printable import printable
    from autocreate.model import Recipient
    from autocreate.wiring.tools import open_explainer

    with open_explainer(config_path, load(config_path)) as explainer:
        found = explainer.explain(Recipient(address, mailer=mailer))
    if as_json:
        data = {
            **as_data(address, found.verdict),
            "settings": asdict(found.settings),
            "users": [asdict(user) for user in found.users],
        }
        click.echo(json.dumps(data))
    else:
        click.echo("\n".join(map(printable, _text(address, found))))
    sys.exit(found.verdict.exit_status)


def _text(address: str, found: "Explanation") -> Iterator[str]:
    verdict = found.verdict
    yield f"{address}: {verdict.answer.value}"
    yield ""
    yield "Recipient"
    yield from _section("recipients that are ours", map(_written, found.settings.ours))
    yield from _section(
        "domain tables",
        (line for it in found.settings.domain_tables for line in _source("domains", it)),
    )
    yield from _section("how an address becomes a user", map(_written, found.settings.user))
    yield from _section(
        "alias tables", [f"{it.text}: {it.place}" for it in found.settings.alias_tables]
    )
    yield from _section("aliases followed", verdict.aliases)
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
    yield f"  reply: {' '.join(reply) if reply else 'none, the MTA decides'}"
    if verdict.suppressed:
        yield f"  suppressed: {verdict.suppressed}"


def _user(user: "User") -> Iterator[str]:
    yield ""
    yield f"User {user.user}, for {user.address}"
    yield from _section(
        "account sources", (line for it in user.sources for line in _source("accounts", it))
    )
    yield from _section("policies", (line for it in user.policies for line in _policy(it)))
    yield from _section("policy as written", map(_written, user.options))
    yield from _section("tree of the policy", user.tree)
    yield from _section("existing tree", user.standing)


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
    yield f"{look.policy}: {'applies' if look.counts else 'no'}: {look.why}"
    if look.place:
        yield f"  {look.place}"


def _written(option: "Option") -> str:
    return f"{option.place}: {option.text}"
