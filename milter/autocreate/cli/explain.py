"""`autocreate explain`: how a decision comes about."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autocreate.cli.options import config_option

if TYPE_CHECKING:
    from autocreate.admin.explain import SourceAnswer, User
    from autocreate.model import Verdict


@click.command()
@click.argument("address")
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--mailer", help="As if the MTA had named this transport, as in {rcpt_mailer}.")
def explain(address: str, config_path: Path, as_json: bool, mailer: str | None) -> None:
    """Say how the decision about a recipient comes about, step by step. Changes nothing.

    As `check`, but every account source is asked and every policy is looked at, whether the
    decision needs it or not, and every key of the policy that counts is shown with its line.
    """
    from autocreate.cli.render import as_data
    from autocreate.config import load
    from autocreate.model import Recipient
    from autocreate.wiring.tools import explained

    verdict, users = explained(config_path, load(config_path), Recipient(address, mailer=mailer))
    if as_json:
        told = {**as_data(address, verdict), "users": [asdict(user) for user in users]}
        click.echo(json.dumps(told))
    else:
        click.echo("\n".join(_text(address, verdict, users)))
    sys.exit(verdict.answer.exit_status)


def _text(address: str, verdict: "Verdict", users: "list[User]") -> Iterator[str]:
    yield f"{address}: {verdict.answer.value}"
    for step in verdict.aliases:
        yield f"  alias: {step}"
    for user in users:
        yield from _user(user)
    from autocreate.core.plan import as_text

    yield ""
    yield "Decision"
    yield f"  {verdict.reason}"
    for plan in verdict.plans:
        yield from (f"  would {line}" for line in as_text(plan))
    for note in verdict.notes:
        yield f"  note: {note}"
    reply = verdict.answer.reply
    yield f"  reply: {' '.join(reply) if reply else 'none, the MTA goes on'}"
    if verdict.withheld:
        yield f"  withheld: {verdict.withheld}"


def _user(user: "User") -> Iterator[str]:
    yield ""
    yield f"User {user.user}, for {user.address}"
    yield "  account sources"
    for source in user.sources:
        yield from _source(source)
    if user.policies:
        yield "  policies"
    for look in user.policies:
        yield f"    {look.policy}: {'counts' if look.counts else 'no'}: {look.why}"
    for heading, lines in (
        ("the policy as it is written", [f"{it.place}: {it.text}" for it in user.options]),
        ("the tree it calls for", user.tree),
        ("what stands", user.standing),
    ):
        if lines:
            yield f"  {heading}"
            yield from (f"    {line}" for line in lines)


def _source(source: "SourceAnswer") -> Iterator[str]:
    yield f"    accounts.{source.source}: {source.answer} ({source.milliseconds} ms)"
    for name, value in source.attributes:
        yield f"      {name} = {value}"
    if source.groups is not None:
        yield f"      groups: {', '.join(source.groups) or 'none'}"
