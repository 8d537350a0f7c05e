"""What work on many users is handed, over memory."""

from __future__ import annotations

from collections.abc import Iterable

from autocreate.accounts.directory import Directory
from autocreate.admin.bulk import Run
from autocreate.admin.components import Components
from autocreate.admin.outcomes import State
from autocreate.admin.selection import AccountSelector
from autocreate.core.naming import Users
from autocreate.core.policy import Policy
from autocreate.errors import Temporary
from autocreate.model import Account
from autocreate.tree.values import Folder, Tree
from tests.unit.house import Accounts, House

NOBODY = Policy("guests", Tree(), groups=frozenset(["guests"]), create=False)
INBOX = Tree((Folder(),))


def components(
    house: House,
    users: Users = Users(),  # noqa: B008 -- a frozen value
    domains: Iterable[str] = ("example.org",),
) -> Components:
    """The service of a house and its parts, for two users at once."""
    return Components(
        house.service,
        house.service._provisioner,
        AccountSelector(Directory([house.accounts]), users, tuple(domains)),
        house.store,
        house.journal,
        parallel=2,
    )


def fail_for(accounts: Accounts, *users: str) -> None:
    """Make every lookup of these users fail."""
    lookup = accounts.lookup

    def failing(user: str) -> Account | None:
        if user in users:
            raise Temporary("the database is away")
        return lookup(user)

    accounts.lookup = failing  # type: ignore[method-assign]


def states(run: Run) -> dict[str, State]:
    """Do the work of a run: what became of each user."""
    return {outcome.user: outcome.state for outcome in run.outcomes()}
