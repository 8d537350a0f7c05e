"""The commands that change the mailboxes of many users: provision, apply."""

import sys
from pathlib import Path

import click

from autocreate.cli.interruption import interruptible
from autocreate.cli.opening import open_components, open_service
from autocreate.cli.options import config_option, json_option
from autocreate.cli.outcomes import show_checksum, show_run, show_summary
from autocreate.cli.selection import Filters, selecting, selection_of
from autocreate.cli.verdicts import show

_AGAIN = "run the same command again to go on: who has a mailbox by then is skipped"


@click.command()
@click.argument("addresses", metavar="[ADDRESS...|-]", nargs=-1)
@selecting
@click.option("--yes", is_flag=True, help="Create the mailboxes of a bulk selection.")
@click.option(
    "--max-new",
    type=click.IntRange(0, 100),
    default=30,
    show_default=True,
    help="With --yes: refuse to create mailboxes for more than this percentage of the accounts.",
)
@config_option
@json_option
def provision(
    addresses: tuple[str, ...],
    filters: Filters,
    yes: bool,
    max_new: int,
    config_path: Path,
    as_json: bool,
) -> None:
    """Create mailboxes for users who have none, as their first mail would.

    Mailboxes of addresses given as arguments are created at once. `-` reads users from standard
    input, one per line; --all, --source, --group and --domain select accounts from the account
    sources, which must be able to list them. Bulk selections are a dry run unless --yes is given.
    Safe to interrupt and rerun.

    Unfinished trees are completed; finished ones are not changed. Exempt users are skipped:
    administrators, and users of a policy with create = false. With milter.mode = "dry-run" this only
    shows what it would do, as `plan` does.

    Exit status: 0 success; 65 a user is unknown; 75 something failed and can be retried; 77 too many
    new mailboxes (see --max-new); 78 a policy asks for something impossible, or a source cannot list its
    users; 130 interrupted.
    """
    selection = selection_of(addresses, filters)
    if selection is None:
        from autocreate.core.address import parse

        with interruptible(_AGAIN), open_service(config_path) as service:
            show(addresses, as_json, lambda it: service.provision(parse(it)), "did")
        return

    from autocreate.admin import provision as work
    from autocreate.admin.survey import Survey

    with (
        interruptible(_AGAIN),
        open_components(config_path) as components,
        Survey() as survey,
    ):
        run = work.provision(components, survey, selection, yes, max_new)
        show_run("provision", run, as_json)
        sys.exit(show_summary(run))


@click.command()
@click.argument("users", metavar="[USER...|-]", nargs=-1)
@click.option("--policy", required=True, help="Only users who have this policy.")
@click.option("--to", multiple=True, metavar="USER", help="The same as USER as an argument.")
@selecting
@click.option("--restore", is_flag=True, help="Also bring back what users have removed.")
@click.option(
    "--yes", metavar="CHECKSUM", default="", help="Carry out the plans shown with this checksum."
)
@config_option
@json_option
def apply(
    users: tuple[str, ...],
    policy: str,
    to: tuple[str, ...],
    filters: Filters,
    restore: bool,
    yes: str,
    config_path: Path,
    as_json: bool,
) -> None:
    """Bring existing mailboxes to what their policy says today.

    Shows a plan for each user: missing folders, flags, rights, quota, subscriptions. The last line is
    a checksum of all plans. Repeat the command with --yes and this checksum to carry out exactly
    these plans; if anything has changed since, nothing is done. Safe to interrupt and rerun.

    Nothing is ever deleted. Folders and subscriptions that a user has removed stay removed, unless
    --restore is given. With milter.mode = "dry-run" nothing is carried out.

    Exit status: 0 success; 65 a user is unknown, or the plans have changed; 75 something failed and
    can be retried; 78 a policy asks for something impossible, or a source cannot list its users; 130
    interrupted.
    """
    selection = selection_of((*users, *to), filters, are_users=True)
    assert selection is not None  # user ids always make one

    from autocreate.admin.plans import Plans
    from autocreate.admin.policy_update import PolicyUpdate
    from autocreate.admin.survey import Survey

    with open_components(config_path) as components, Survey() as survey, Plans() as plans:
        with interruptible("nothing was changed; run the same command again"):
            update = PolicyUpdate(components, survey, plans, selection, policy, restore, yes)
            compared = update.compare()
            show_run("compare", compared, as_json, only_problems=update.is_applied)
        applied = update.apply(compared.summary)
        if applied:
            # The checksum of what is left is another one.
            with interruptible("run the command without --yes to see what is left to do"):
                show_run("apply", applied, as_json)
        elif checksum := update.checksum:
            show_checksum(checksum, as_json)
        sys.exit(show_summary(applied or compared))
