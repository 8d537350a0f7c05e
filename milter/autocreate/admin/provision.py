"""`autocreate provision`: create the mailboxes of many users.

A run that was killed is simply repeated: users who have a mailbox by then are not looked at again, and
the journal lists the trees that were left unfinished.
"""

from contextlib import closing
from functools import partial
from itertools import chain

from autocreate.admin.bulk import Outcomes, Run, in_parallel
from autocreate.admin.components import Components
from autocreate.admin.outcomes import State, outcome_of
from autocreate.admin.selection import Selection
from autocreate.admin.survey import Survey
from autocreate.admin.surveying import failed_lookups, require_known, survey_accounts
from autocreate.core.printable import counted
from autocreate.errors import AutocreateError
from autocreate.model import Verdict
from autocreate.service.journal import Entry

# Fewer new mailboxes than this are never too many, whatever their share.
_ALWAYS_ALLOWED = 10


class TooMany(AutocreateError):
    """So many mailboxes would be created that it looks like a mistake."""

    exit_status = 77  # EX_NOPERM


def provision(
    components: Components, survey: Survey, selection: Selection, yes: bool, max_new: int
) -> Run:
    """Create the mailboxes that the accounts of a selection lack, and complete unfinished trees.

    Args:
        survey: an empty one, open until the run is over.
        yes: create them; False only plans. In dry-run mode nothing is created in any case.
        max_new: create at most this share of the accounts, in per cent.

    Raises:
        TooMany: more than that have no mailbox.
        ConfigurationError, Temporary: see `require_known` and `survey_accounts`.
    """
    require_known(components, selection)
    survey_accounts(survey, components, selection)
    new = survey.count_without_mailbox()
    if yes:
        require_plausible(new, survey.accounts, max_new)
    is_applied = yes and not components.dry_run
    unfinished = _unfinished(components, survey)

    def create(user: str) -> Verdict:
        if is_applied and user in unfinished:
            return components.service.complete(unfinished[user])
        address = components.accounts.address(user, selection)
        return components.service.provision(address, is_applied, is_user=True)

    def work() -> Outcomes:
        yield from failed_lookups(survey)
        users = chain(survey.without_mailbox(), unfinished)
        creations = ((user, partial(create, user)) for user in users)
        with closing(in_parallel(creations, components.parallel)) as verdicts:
            for user, verdict in verdicts:
                yield outcome_of(user, verdict, is_applied)

    total = survey.count_failed_lookups() + new + len(unfinished)
    run = Run(survey.accounts, total, is_applied, work())
    run.summary.counts[State.EXEMPT] = survey.exempt
    return run


def _unfinished(components: Components, survey: Survey) -> dict[str, Entry]:
    """By user, the unfinished trees of accounts that have a mailbox, as a killed run leaves them."""
    entries = components.journal.all_unfinished()
    return {entry.user: entry for entry in entries if survey.has_both(entry.user)}


def require_plausible(new: int, accounts: int, max_new: int) -> None:
    """Refuse to create an absurd share of mailboxes: a wrong query or an empty server looks like that.

    Args:
        new: how many would be created.
        accounts: for how many accounts.
        max_new: the share that is allowed, in per cent.

    Raises:
        TooMany: it is more.
    """
    if new > _ALWAYS_ALLOWED and new * 100 > accounts * max_new:
        raise TooMany(
            f"{new:,} of {counted(accounts, 'account')} have no mailbox, more than --max-new {max_new} per cent: "
            "check the account sources and Cyrus; if it is right, repeat with --max-new 100"
        )
