"""The verdicts about a few addresses, printed."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from autocreate.errors import Malformed

if TYPE_CHECKING:
    from autocreate.model import Verdict


def show(
    addresses: tuple[str, ...],
    as_json: bool,
    decide: Callable[[str], "Verdict"],
    verb: str = "would",
) -> None:
    """Print the verdict about each address, and exit with the highest exit status among them.

    Args:
        verb: "would" or "did": what became of the plans.
    """
    from autocreate.cli.render import json_line, text_lines

    status = 0
    for address in addresses:
        verdict = _verdict(decide, address)
        status = max(status, verdict.exit_status)
        lines = [json_line(address, verdict)] if as_json else text_lines(address, verdict, verb)
        click.echo("\n".join(lines))
    sys.exit(status)


def show_plans(
    addresses: tuple[str, ...], as_json: bool, decide: Callable[[str], "Verdict"]
) -> None:
    """Print the plan for each address and a count of all, and exit as `show` does."""
    from autocreate.cli.render import plan_count, text_lines

    if as_json:
        show(addresses, as_json, decide)
    verdicts = []
    for address in addresses:
        verdicts.append(_verdict(decide, address))
        click.echo("\n".join(text_lines(address, verdicts[-1], "")))
    click.echo(plan_count(verdicts))
    sys.exit(max(it.exit_status for it in verdicts))


def _verdict(decide: Callable[[str], "Verdict"], address: str) -> "Verdict":
    from autocreate.model import Answer, Verdict

    try:
        return decide(address)
    except Malformed as error:
        return Verdict(Answer.MALFORMED, str(error))
