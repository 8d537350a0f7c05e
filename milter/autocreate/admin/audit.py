"""What does not fit together: accounts, mailboxes, unfinished trees, trees that differ from their policy."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from autocreate.admin.census import Census
from autocreate.core.plan import describe
from autocreate.errors import AutocreateError
from autocreate.journal import Entry
from autocreate.model import SetQuota, Verdict

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


def people(census: Census) -> Iterator[Discrepancy]:
    """Accounts without a mailbox, and mailboxes without an account."""
    for user in census.without_mailbox():
        yield Discrepancy(NO_MAILBOX, user, "has an account and no mailbox")
    for user in census.without_account():
        yield Discrepancy(NO_ACCOUNT, user, "has a mailbox, and no account source knows the user")


def unfinished(entries: Iterable[Entry]) -> Iterator[Discrepancy]:
    """Trees that were begun and not finished, as the journal has them."""
    for entry in entries:
        yield Discrepancy(
            UNFINISHED,
            entry.user,
            entry.error or "a first attempt came to no end, or still goes on",
        )


def trees(users: Iterable[str], compare: Callable[[str], Verdict]) -> Iterator[Discrepancy]:
    """Trees that differ from today's policy. Takes some commands to Cyrus for each user.

    Args:
        compare: what would bring a user's tree to its policy.
    """
    for user in users:
        try:
            verdict = compare(user)
        except AutocreateError as error:
            yield Discrepancy(UNCLEAR, user, str(error))
            continue
        for action in verdict.plan.actions if verdict.plan else ():
            kind = QUOTA if isinstance(action, SetQuota) else TREE
            yield Discrepancy(kind, user, f"policy {verdict.policy}: {describe(action)}")
