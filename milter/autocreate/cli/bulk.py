"""Commands for many users at once: provision, apply, audit."""

import csv
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autocreate.cli.options import config_option, json_option
from autocreate.cli.verdicts import open_service, show

if TYPE_CHECKING:
    from autocreate.admin.bulk import Selection
    from autocreate.cli.progress import Progress
    from autocreate.model import Verdict
    from autocreate.wiring.office import Office

_STDIN = ("-",)


def _selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which accounts are meant."""
    for option in (
        click.option("--all", "everybody", is_flag=True, help="Every account that is listed."),
        click.option("--source", "sources", multiple=True, help="Accounts of this source."),
        click.option("--group", "groups", multiple=True, help="Accounts in this group."),
        click.option("--domain", default="", help="Accounts of this domain."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("addresses", metavar="[ADDRESS...|-]", nargs=-1)
@_selecting
@click.option("--yes", is_flag=True, help="Do it. Without it many users are only shown.")
@click.option(
    "--max-new",
    type=click.IntRange(0, 100),
    default=30,
    show_default=True,
    help="Refuse to make more new mailboxes than this share of the accounts, in per cent.",
)
@config_option
@json_option
def provision(
    addresses: tuple[str, ...],
    everybody: bool,
    sources: tuple[str, ...],
    groups: tuple[str, ...],
    domain: str,
    yes: bool,
    max_new: int,
    config_path: Path,
    as_json: bool,
) -> None:
    """Create the mailboxes of users who have none, as their first mail would.

    Addresses that are named are seen to at once. `-` reads users from standard input, one a line;
    --all, --source, --group and --domain take them from the account sources, which must be able to
    list them. Of many it only says what it would do, unless --yes is given; it can be ended at any
    moment and begun again.

    A tree that was begun and not finished is completed; a finished one is not touched. With
    milter.mode = "dry-run" it only shows what it would do, as `plan` does.
    """
    chosen = _chosen(addresses, everybody, sources, groups, domain)
    if chosen is None:
        from autocreate.core.address import parse

        with open_service(config_path) as service:
            show(addresses, as_json, lambda it: service.provision(parse(it)), "did")
        return

    from autocreate.admin.bulk import each, require_sane, survey
    from autocreate.admin.census import Census

    with _office(config_path) as office, Census() as census:
        _require_known(office, domain)
        survey(census, office.accounts, office.store, chosen)
        new = census.count_without_mailbox()
        if yes:
            require_sane(new, census.accounts, max_new)
        is_applied = yes and not office.service.rules.dry_run

        # Whom a run that was killed left half made has a mailbox by now.
        begun = {it.user: it for it in office.journal.all_unfinished() if census.has_both(it.user)}

        def make(user: str) -> "Verdict":
            if is_applied and user in begun:
                return office.service.complete(begun[user])
            address = office.accounts.address(user, chosen)
            return office.service.provision(address, is_applied, is_user=True)

        with _telling("provision", new + len(begun), as_json, is_applied) as outcomes:
            users = chain(census.without_mailbox(), begun)
            each(make, users, office.parallel, outcomes.note)
        sys.exit(outcomes.conclude(census.accounts))


@click.command()
@click.argument("users", metavar="[USER...|-]", nargs=-1)
@click.option("--policy", required=True, help="Only users whose policy this is.")
@click.option("--to", multiple=True, metavar="USER", help="This user, as if named by itself.")
@_selecting
@click.option("--restore", is_flag=True, help="Bring back what users have done away with, too.")
@click.option("--yes", metavar="CHECKSUM", help="Do exactly what was shown with this checksum.")
@config_option
@json_option
def apply(
    users: tuple[str, ...],
    policy: str,
    to: tuple[str, ...],
    everybody: bool,
    sources: tuple[str, ...],
    groups: tuple[str, ...],
    domain: str,
    restore: bool,
    yes: str | None,
    config_path: Path,
    as_json: bool,
) -> None:
    """Bring users who have a mailbox to what their policy says today.

    Shows the plan of each: missing folders, flags, rights, quota, subscriptions. The last line has a
    checksum of all of them; with --yes and that checksum exactly these plans are carried out, and none
    if anything has changed meanwhile. Nothing is ever deleted, and a folder or subscription that a
    user was given once and has done away with stays away.
    """
    chosen = _chosen((*users, *to), everybody, sources, groups, domain, are_users=True)
    assert chosen is not None

    from autocreate.admin.bulk import each, survey
    from autocreate.admin.census import Census
    from autocreate.admin.plans import Plans

    with _office(config_path) as office, Census() as census, Plans() as plans:
        _require_known(office, domain, policy)
        survey(census, office.accounts, office.store, chosen)

        def compare(user: str) -> "Verdict":
            address = office.accounts.address(user, chosen)
            return office.provisioner.update(address, user, restore)

        with _telling("compare", census.count_with_both(), as_json, False, bool(yes)) as outcomes:

            def keep(user: str, verdict: "Verdict") -> None:
                if verdict.policy in (policy, ""):
                    plans.add(user, verdict)
                    outcomes.note(user, verdict)

            each(compare, census.with_both(), office.parallel, keep)
            outcomes.leave_out(census.count_without_mailbox())
        if not yes:
            if plans:
                click.echo(f"checksum {plans.checksum()}")
            sys.exit(outcomes.conclude(census.accounts))

        plans.require(yes)

        def do(user: str) -> "Verdict":
            address = office.accounts.address(user, chosen)
            return office.provisioner.carry_out(address, plans.verdict(user))

        with _telling("apply", len(plans), as_json, is_applied=True) as outcomes:
            each(do, plans.users(), office.parallel, outcomes.note)
        sys.exit(outcomes.conclude(len(plans)))


@click.command()
@_selecting
@click.option("--trees", is_flag=True, help="Also compare each tree with its policy: takes longer.")
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
    form: str,
    config_path: Path,
) -> None:
    """Tell what does not fit together. Changes nothing.

    Accounts without a mailbox, mailboxes without an account, trees that were begun and not finished;
    with --trees also trees and quotas that differ from today's policy. The exit status is 1 if there
    is anything to tell. Without options every account counts.
    """
    from autocreate.admin import audit as audits
    from autocreate.admin.bulk import Selection, survey
    from autocreate.admin.census import Census

    is_whole = not (sources or groups or domain)
    chosen = Selection(sources, groups, domain)
    write = {"text": _as_text, "json": _as_json, "csv": _as_csv}[form]
    count = 0
    with _office(config_path) as office, Census() as census:
        _require_known(office, domain)
        survey(census, office.accounts, office.store, chosen)

        def compare(user: str) -> "Verdict":
            address = office.accounts.address(user, chosen)
            return office.provisioner.update(address, user, restore=True)

        def found() -> Iterator[audits.Discrepancy]:
            for discrepancy in audits.people(census):
                # Of a part of the accounts, the other mailboxes would all have none.
                if is_whole or discrepancy.kind != audits.NO_ACCOUNT:
                    yield discrepancy
            yield from audits.unfinished(office.journal.all_unfinished())
            if trees:
                yield from audits.trees(census.with_both(), compare)

        if form == "csv":
            _as_csv(audits.Discrepancy._fields)
        for discrepancy in found():
            write(discrepancy)
            count += 1
        if form == "text":
            click.echo(
                f"{census.accounts} accounts, {census.mailboxes} mailboxes: {count} findings"
            )
    sys.exit(1 if count else 0)


def _chosen(
    names: tuple[str, ...],
    everybody: bool,
    sources: tuple[str, ...],
    groups: tuple[str, ...],
    domain: str,
    are_users: bool = False,
) -> "Selection | None":
    """The selection that the options make; None if addresses were named one by one."""
    from autocreate.admin.bulk import Selection

    is_listed = everybody or bool(sources or groups or domain)
    if names and is_listed:
        raise click.UsageError("name users, or take them from the account sources, not both")
    if not names and not is_listed:
        raise click.UsageError(
            "nobody is named: give users, - for a list on standard input, or --all, --source, "
            "--group, --domain"
        )
    if names == _STDIN:
        names = tuple(filter(None, (line.strip() for line in sys.stdin)))
        return Selection(users=names)
    if names:
        return Selection(users=names) if are_users else None
    return Selection(sources, groups, domain)


def _require_known(office: "Office", domain: str, policy: str | None = None) -> None:
    """A name that is nobody's would select nothing, or by another policy, and say nothing of it."""
    from autocreate.errors import ConfigurationError

    domains = office.service.rules.domains
    if domain and not domains & {domain.lower(), "*"}:
        raise ConfigurationError("--domain", [f"{domain} is not among milter.domains"])
    policies = [it.name for it in office.provisioner.policies]
    if policy is not None and policy not in policies:
        raise ConfigurationError(
            "--policy", [f"there is no policy {policy!r}; one of {', '.join(policies)}"]
        )


@contextmanager
def _office(config_path: Path) -> Iterator["Office"]:
    from contextlib import closing

    from autocreate import logs
    from autocreate.config import load
    from autocreate.wiring.office import build_office

    settings = load(config_path)
    logs.configure(settings.log.format, "error")
    office = build_office(settings)
    with closing(office.service):
        yield office


class _Outcomes:
    """Prints what became of each user, and sums it up."""

    def __init__(self, bar: "Progress", as_json: bool, is_applied: bool, is_silent: bool) -> None:
        self._bar = bar
        self._as_json = as_json
        self._is_applied = is_applied
        self._is_silent = is_silent
        self._words: Counter[str] = Counter()
        self._status = 0

    def note(self, user: str, verdict: "Verdict") -> None:
        """One more user is done."""
        from autocreate.admin.bulk import SATISFIED, outcome
        from autocreate.cli.render import json_line
        from autocreate.core.plan import as_text

        word = outcome(verdict, self._is_applied)
        self._words[word] += 1
        self._status = max(self._status, verdict.answer.exit_status)
        self._bar.step()
        if self._is_silent:
            return
        if self._as_json:
            self._bar.say(json_line(user, verdict))
        elif verdict.plan and verdict.plan.actions:
            self._bar.say(f"{user}: {word}: {'; '.join(as_text(verdict.plan))}")
        elif word != SATISFIED:
            self._bar.say(f"{user}: {word}: {verdict.reason}")

    def leave_out(self, count: int) -> None:
        """So many more have no mailbox, and nothing was asked about them."""
        self._words["without a mailbox"] += count

    def done(self) -> int:
        """How many users are done."""
        return self._words.total()

    def conclude(self, accounts: int) -> int:
        """Tell the sum on stderr; the exit status by the gravest outcome."""
        counts = ", ".join(
            f"{count} {word}" for word, count in sorted(self._words.items()) if count
        )
        changed = "" if self._is_applied else "; nothing was changed"
        click.echo(f"{accounts} accounts: {counts or 'nothing to do'}{changed}", err=True)
        return self._status


@contextmanager
def _telling(
    what: str, total: int, as_json: bool, is_applied: bool, is_silent: bool = False
) -> Iterator[_Outcomes]:
    from autocreate.cli.progress import progress

    outcomes = None
    try:
        with progress(what, total) as bar:
            outcomes = _Outcomes(bar, as_json, is_applied, is_silent)
            yield outcomes
    except KeyboardInterrupt:
        done = outcomes.done() if outcomes else 0
        click.echo(f"interrupted: {done} of {total} are done", err=True)
        raise


def _as_text(discrepancy: Any) -> None:
    click.echo(f"{discrepancy.kind:11} {discrepancy.user}: {discrepancy.detail}")


def _as_json(discrepancy: Any) -> None:
    click.echo(json.dumps(discrepancy._asdict()))


def _as_csv(row: Any) -> None:
    csv.writer(sys.stdout).writerow(row)
