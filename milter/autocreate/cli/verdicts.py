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
    from autocreate.model import Answer, Verdict

    status = 0
    for address in addresses:
        try:
            verdict = decide(address)
        except Malformed as error:
            verdict = Verdict(Answer.MALFORMED, str(error))
        status = max(status, verdict.exit_status)
        lines = [json_line(address, verdict)] if as_json else text_lines(address, verdict, verb)
        click.echo("\n".join(lines))
    sys.exit(status)
