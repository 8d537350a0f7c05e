"""What work on many users is handed. `autocreate.wiring.service` builds it."""

from dataclasses import dataclass

from autocreate.admin.selection import AccountSelector, Selection
from autocreate.mailstore import MailStore
from autocreate.model import Verdict
from autocreate.service.journal import Journal
from autocreate.service.provisioner import Provisioner
from autocreate.service.service import Service


@dataclass(frozen=True, slots=True)
class Components:
    """The service and its parts. Closing the service closes all of them.

    Args:
        accounts: which accounts a selection has.
        parallel: how many users to work on at once; one connection to Cyrus each.
    """

    service: Service
    provisioner: Provisioner
    accounts: AccountSelector
    store: MailStore
    journal: Journal
    parallel: int

    @property
    def dry_run(self) -> bool:
        """Does the configuration forbid every change?"""
        return self.service.rules.dry_run

    def plan_update(self, selection: Selection, restore: bool, user: str) -> Verdict:
        """What would bring the tree of a selected user to today's policy: see `Provisioner.update`."""
        return self.provisioner.update(self.accounts.address(user, selection), user, restore)
