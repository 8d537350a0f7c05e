"""The outcomes of work on many users: a line each, beside a progress bar, and their summary."""

import json
from contextlib import closing
from typing import TYPE_CHECKING

import click

from autocreate.core.printable import counted

if TYPE_CHECKING:
    from autocreate.admin.bulk import Run
    from autocreate.admin.outcomes import Outcome


def show_run(what: str, run: "Run", as_json: bool, only_problems: bool = False) -> None:
    """Do the work of a run, and print the outcome of each user as it comes.

    Args:
        what: the work in one word, for the progress bar.
        only_problems: print no other outcomes.
    """
    from autocreate.cli.progress import progress

    try:
        with progress(what, run.total) as bar, closing(run.outcomes()) as outcomes:
            for outcome in outcomes:
                bar.step()
                if only_problems and not outcome.state.is_problem:
                    continue
                if line := _as_json(outcome) if as_json else _as_text(outcome):
                    bar.say(line)
    except KeyboardInterrupt:
        click.echo(f"{what}: {run.done} of {run.total} done", err=True)
        raise


def show_summary(run: "Run") -> int:
    """Print the summary of a run on stderr. Returns the exit status of the command."""
    suffix = "" if run.is_applied else "; nothing was changed"
    click.echo(f"{counted(run.accounts, 'account')}: {run.summary}{suffix}", err=True)
    return run.summary.exit_status


def show_checksum(checksum: str, as_json: bool) -> None:
    """Print the checksum of the plans above."""
    click.echo(json.dumps({"checksum": checksum}) if as_json else f"checksum {checksum}")


def _as_json(outcome: "Outcome") -> str:
    from autocreate.cli.render import json_line

    return json_line(outcome.user, outcome.verdict)


def _as_text(outcome: "Outcome") -> str:
    """The line about a user; "" if there is nothing to say."""
    from autocreate.admin.outcomes import State
    from autocreate.core.printable import printable

    user, verdict, state = outcome
    if verdict.plan and verdict.plan.actions:
        details = [action.description for action in verdict.done]
        details += verdict.notes
        return printable(f"{user}: {state.value}: {'; '.join(details)}")
    if state is State.UP_TO_DATE:
        return ""
    return printable(f"{user}: {state.value}: {verdict.reason}")
