"""Which policy an account has, and who never gets a mailbox."""

from dataclasses import dataclass
from typing import NamedTuple

from autocreate.accounts.directory import Directory
from autocreate.core.naming import ANONYMOUS, Users
from autocreate.core.policy import Policy, is_creating, select
from autocreate.core.spelling import shared_groups
from autocreate.model import Account, Address

# How a group is named among users.
_GROUP = "group:"


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What an administrator decided about accounts.

    Args:
        users: how addresses become user ids.
        policies: the first that matches decides.
        administrators: users who never get a mailbox, and groups of them as `group:NAME`.
    """

    users: Users
    policies: tuple[Policy, ...]
    administrators: frozenset[str] = frozenset()


class Choice(NamedTuple):
    """The policy that creates an account's mailbox; or None, and why nothing is created."""

    policy: Policy | None
    why_none: str = ""


class PolicyChooser:
    """Chooses policies by `rules`; asks account sources for groups where a policy depends on them."""

    def __init__(self, rules: AccountRules, directory: Directory) -> None:
        self._rules = rules
        self._directory = directory
        names = rules.administrators
        self._administrators = {ANONYMOUS, *(it for it in names if not it.startswith(_GROUP))}
        self._administrator_groups = frozenset(
            it.removeprefix(_GROUP) for it in names if it.startswith(_GROUP)
        )

    def choose(self, address: Address, account: Account, service: str) -> Choice:
        """The policy for an account.

        Args:
            address: whose domain may choose the policy.

        Raises:
            Temporary: an account source cannot tell the account's groups.
        """
        domain = address.domain or self._rules.users.default_domain
        policy = select(
            self._rules.policies, account.user, domain, lambda: self._groups(account), service
        )
        if policy is None:
            return Choice(None, "no policy matches")
        if not policy.create:
            why = f": {policy.why}" if policy.why else ""
            return Choice(None, f"policy {policy.name!r} creates none{why}")
        return Choice(policy)

    def gives_mailbox(self, address: Address, user: str) -> bool | None:
        """Is somebody with an account to have a mailbox? None: that depends on the account's groups.

        Looks nothing up. Arguments as for `choose`.
        """
        if user in self._administrators:
            return False
        domain = address.domain or self._rules.users.default_domain
        creates = is_creating(self._rules.policies, user, domain)
        return None if creates and self._administrator_groups else creates

    def is_administrator(self, account: Account) -> bool:
        """Is an account one that never gets a mailbox? Raises as `choose`."""
        if account.user in self._administrators:
            return True
        groups = self._administrator_groups
        return bool(groups) and bool(shared_groups(groups, self._groups(account)))

    def _groups(self, account: Account) -> frozenset[str]:
        # Who logged in may be in no account source, and then is in no group.
        return self._directory.groups(account) if account.source else frozenset()
