"""Commands that make mailboxes of many users: provision, apply."""

import json
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autocreate.cli.options import config_option, json_option
from autocreate.cli.outcomes import telling
from autocreate.cli.selection import chosen_by, exempt_by, open_components, require_known, selecting
from autocreate.cli.verdicts import open_service, show

if TYPE_CHECKING:
    from autocreate.model import Verdict


@click.command()
@click.argument("addresses", metavar="[ADDRESS...|-]", nargs=-1)
@selecting
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

    A tree that was begun and not finished is completed; a finished one is not touched. Who is to have
    no mailbox is left alone. With milter.mode = "dry-run" it only shows what it would do, as `plan`
    does.

    Exit status: 0, 65 somebody is unknown, 75 something failed and can be tried again, 77 refused as
    absurd, 78 something of a policy is impossible.
    """
    chosen = chosen_by(addresses, everybody, sources, groups, domain)
    if chosen is None:
        from autocreate.core.address import parse

        with open_service(config_path) as service:
            show(addresses, as_json, lambda it: service.provision(parse(it)), "did")
        return

    from autocreate.admin.bulk import each, require_sane, survey
    from autocreate.admin.survey import Survey

    with open_components(config_path) as components, Survey() as census:
        require_known(components, chosen)
        survey(census, components.accounts, components.store, chosen, exempt_by(components, chosen))
        new = census.count_without_mailbox()
        if yes:
            require_sane(new, census.accounts, max_new)
        is_applied = yes and not components.service.rules.dry_run

        # Whom a run that was killed left half made has a mailbox by now.
        begun = {
            it.user: it for it in components.journal.all_unfinished() if census.has_both(it.user)
        }

        def make(user: str) -> "Verdict":
            if is_applied and user in begun:
                return components.service.complete(begun[user])
            address = components.accounts.address(user, chosen)
            return components.service.provision(address, is_applied, is_user=True)

        with telling("provision", new + len(begun), as_json, is_applied) as outcomes:
            outcomes.note_doubts(census)
            outcomes.add(census.exempt, "to have none")
            users = chain(census.without_mailbox(), begun)
            each(make, users, components.parallel, outcomes.note)
        sys.exit(outcomes.conclude(census.accounts))


@click.command()
@click.argument("users", metavar="[USER...|-]", nargs=-1)
@click.option("--policy", required=True, help="Only users whose policy this is.")
@click.option("--to", multiple=True, metavar="USER", help="This user, as if named by itself.")
@selecting
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
    user was given once and has done away with stays away. With milter.mode = "dry-run" nothing is
    carried out.

    Exit status: 0, 65 somebody is unknown or the plans have changed, 75 something failed and can be
    tried again, 78 something of the policy is impossible.
    """
    chosen = chosen_by((*users, *to), everybody, sources, groups, domain, are_users=True)
    assert chosen is not None

    from autocreate.admin.bulk import each, survey
    from autocreate.admin.plans import Plans
    from autocreate.admin.survey import Survey

    with open_components(config_path) as components, Survey() as census, Plans() as plans:
        require_known(components, chosen, policy)
        survey(census, components.accounts, components.store, chosen, exempt_by(components, chosen))
        is_applied = bool(yes) and not components.service.rules.dry_run
        # Of users who are named one by one something is to be heard in any case.
        meant = census.with_both() if chosen.users is None else census.everyone()
        total = census.count_with_both() if chosen.users is None else census.accounts

        def compare(user: str) -> "Verdict":
            address = components.accounts.address(user, chosen)
            return components.provisioner.update(address, user, restore)

        with telling("compare", total, as_json, False, is_applied) as compared:

            def keep(user: str, verdict: "Verdict") -> None:
                if verdict.policy in (policy, ""):
                    plans.add(user, verdict)
                    compared.note(user, verdict)

            compared.note_doubts(census)
            each(compare, meant, components.parallel, keep)
            if chosen.users is None:
                compared.add(census.count_without_mailbox(), "without a mailbox")
        if yes:
            plans.require(yes)
        if not is_applied:
            if plans and not yes:
                checksum = plans.checksum()
                click.echo(
                    json.dumps({"checksum": checksum}) if as_json else f"checksum {checksum}"
                )
            sys.exit(compared.conclude(census.accounts))

        def do(user: str) -> "Verdict":
            address = components.accounts.address(user, chosen)
            return components.provisioner.apply(address, plans.verdict(user))

        with telling("apply", len(plans), as_json, is_applied=True) as outcomes:
            outcomes.go_on_from(compared)
            each(do, plans.users(), components.parallel, outcomes.note)
        sys.exit(outcomes.conclude(len(plans)))
