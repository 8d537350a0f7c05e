"""What does not fit together: accounts, mailboxes, unfinished trees, trees that differ from their policy."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from autocreate.admin.survey import Survey
from autocreate.model import Answer, Verdict
from autocreate.service.journal import Entry
from autocreate.tree.actions import SetQuota

NO_MAILBOX = "no-mailbox"
NO_ACCOUNT = "no-account"
UNFINISHED = "unfinished"
TREE = "tree"
QUOTA = "quota"
UNCLEAR = "unclear"


class Discrepancy(NamedTuple):
    """One thing about one user that is not as it should be."""

    kind: str
    user: str
    detail: str


def people(census: Survey, is_whole: bool) -> Iterator[Discrepancy]:
    """Accounts without a mailbox, and mailboxes without an account.

    Args:
        is_whole: the census has all accounts; of some, the mailboxes of the others would have none.
    """
    for user, why in census.doubts():
        yield Discrepancy(UNCLEAR, user, why)
    for user in census.without_mailbox():
        yield Discrepancy(NO_MAILBOX, user, "has an account and no mailbox")
    for user in census.without_account() if is_whole else ():
        yield Discrepancy(NO_ACCOUNT, user, "has a mailbox, and no account source knows the user")


def unfinished(entries: Iterable[Entry]) -> Iterator[Discrepancy]:
    """Trees that were begun and not finished, as the journal has them."""
    for entry in entries:
        yield Discrepancy(
            UNFINISHED,
            entry.user,
            entry.error or "a first attempt came to no end, or still goes on",
        )


def differences(user: str, verdict: Verdict) -> Iterator[Discrepancy]:
    """Where a tree differs from today's policy.

    Args:
        verdict: what would bring the user's tree to its policy.
    """
    if verdict.answer is Answer.TEMPORARY:
        yield Discrepancy(UNCLEAR, user, verdict.reason)
    if verdict.answer is Answer.UNKNOWN:
        yield Discrepancy(
            UNCLEAR,
            user,
            "a source lists the user, but none finds it: mail for it is refused (550)",
        )
    for action in verdict.plan.actions if verdict.plan else ():
        kind = QUOTA if isinstance(action, SetQuota) else TREE
        yield Discrepancy(kind, user, f"policy {verdict.policy}: {action.description}")
