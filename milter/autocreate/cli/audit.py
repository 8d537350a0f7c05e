"""The command that tells what does not fit together."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autocreate.cli.options import config_option
from autocreate.cli.selection import exempt_by, normal, open_components, require_known, selecting

if TYPE_CHECKING:
    from autocreate.model import Verdict


@click.command()
@selecting
@click.option("--trees", is_flag=True, help="Also compare each tree with its policy: takes longer.")
@click.option(
    "--restore", is_flag=True, help="With --trees: miss what users have done away with, too."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "csv"]),
    default="text",
    show_default=True,
    help="How it is told, one line a finding; in CSV after a line with the names of the columns.",
)
@config_option
def audit(
    everybody: bool,
    sources: tuple[str, ...],
    groups: tuple[str, ...],
    domain: str,
    trees: bool,
    restore: bool,
    form: str,
    config_path: Path,
) -> None:
    """Tell what does not fit together. Changes nothing.

    Accounts without a mailbox that should have one, mailboxes without an account, trees that were begun
    and not finished; with --trees also trees and quotas that differ from today's policy, as `apply`
    would change them. The exit status is 1 if there is anything to tell. Without options every
    account counts.
    """
    from autocreate.admin import audit as audits
    from autocreate.admin.bulk import Selection, each, survey
    from autocreate.admin.survey import Survey
    from autocreate.cli.progress import progress

    chosen = normal(Selection(sources, groups, domain))
    as_line = {"text": _as_text, "json": _as_json, "csv": _as_csv}[form]
    count = 0
    with open_components(config_path) as components, Survey() as census:
        require_known(components, chosen)
        survey(census, components.accounts, components.store, chosen, exempt_by(components, chosen))
        # Of a part of the accounts, the other mailboxes would all have none.
        is_whole = not (sources or groups or (domain and components.accounts.virtual_domains))

        def tell(found: Iterable[audits.Discrepancy], say: Callable[[str], None]) -> None:
            nonlocal count
            for discrepancy in found:
                say(as_line(discrepancy))
                count += 1

        def compare(user: str) -> "Verdict":
            address = components.accounts.address(user, chosen)
            return components.provisioner.update(address, user, restore)

        if form == "csv":
            click.echo(_as_csv(audits.Discrepancy._fields))
        tell(audits.people(census, is_whole), click.echo)
        entries = components.journal.all_unfinished()
        tell(
            audits.unfinished(it for it in entries if is_whole or census.has_account(it.user)),
            click.echo,
        )
        if trees:
            with progress("compare", census.count_with_both()) as bar:

                def note(user: str, verdict: "Verdict") -> None:
                    bar.step()
                    tell(audits.differences(user, verdict), bar.say)

                each(compare, census.with_both(), components.parallel, note)
        if form == "text":
            click.echo(
                f"{census.accounts} accounts, {census.mailboxes} mailboxes: {count} findings"
            )
    sys.exit(1 if count else 0)


def _as_text(discrepancy: Any) -> str:
    from autocreate.core.printable import printable

    return printable(f"{discrepancy.kind:11} {discrepancy.user}: {discrepancy.detail}")


def _as_json(discrepancy: Any) -> str:
    return json.dumps(discrepancy._asdict())


def _as_csv(row: Any) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(row)
    return line.getvalue()
