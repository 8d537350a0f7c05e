"""What is asked about a user, and what is then to be made."""

from typing import NamedTuple

from autocreate.model import LMTP, Account, Address, Verdict
from autocreate.service.journal import Entry


class DecisionRequest(NamedTuple):
    """What is asked about a user.

    Args:
        address: the recipient or login it is for; its domain may choose the policy.
        apply: False only looks and plans.
        service: what it is for. By any other than mail the user has logged in, and so exists; the
            account sources are then asked for what a new tree depends on, no more.
        entry: the journal's, for another attempt that is due whatever the mailbox looks like.
        account: the user's, if it was looked up before.
    """

    address: Address
    user: str
    apply: bool
    service: str = LMTP
    entry: Entry | None = None
    account: Account | None = None

    @property
    def key(self) -> tuple[str, bool]:
        """Requests with one key may share an answer.

        What is only looked at must not be answered by, or for, what is being done.
        """
        return self.user, self.apply


class Work(NamedTuple):
    """A plan that is to be carried out.

    Args:
        begun: the entry of a tree whose INBOX existed when the plan was made; None if there was no INBOX.
        present: of an unfinished tree what an attempt made whose end is not in the journal.
    """

    verdict: Verdict
    begun: Entry | None
    present: frozenset[str]
