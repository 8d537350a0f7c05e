"""A service for one command, and the verdicts of a few addresses, printed."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autocreate.errors import Malformed

if TYPE_CHECKING:
    from autocreate.model import Verdict


def open_service(config_path: Path) -> Any:
    """The service as the file has it, to be closed at the end of a context."""
    from contextlib import closing

    from autocreate import logs
    from autocreate.config import load
    from autocreate.wiring.service import build_service

    settings = load(config_path)
    logs.configure(settings.log.format, "warning")
    return closing(build_service(settings))


def show(
    addresses: tuple[str, ...],
    as_json: bool,
    decide: Callable[[str], "Verdict"],
    verb: str = "would",
) -> None:
    """Print the verdict of each address, and end with the gravest exit status among them."""
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
