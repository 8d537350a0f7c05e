"""Which accounts a command is about, and by which domain each is judged."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from autocreate.accounts.directory import Directory
from autocreate.core.address import domain_of
from autocreate.core.naming import Users
from autocreate.core.spelling import shared_groups
from autocreate.domains.syntax import ANY_DOMAIN
from autocreate.errors import Temporary
from autocreate.model import Address


@dataclass(frozen=True, slots=True)
class Selection:
    """The accounts that match everything given.

    Args:
        sources: names of account sources; empty for every source.
        groups: an account is in one of these groups.
        domain: of `joe@other.test`, as a lower-case A-label; where virtual domains are off, the domain
            for which policies are evaluated.
        users: these users and no others; None for all that the sources list.
    """

    sources: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    domain: str = ""
    users: tuple[str, ...] | None = None


class AccountSelector:
    """Finds the accounts of a selection.

    Args:
        directory: who exists.
        users: how names become user ids.
        domains: our domains, as in milter.domains.
    """

    def __init__(self, directory: Directory, users: Users, domains: Collection[str] = ()) -> None:
        self._directory = directory
        self._users = users
        self._domains = domains

    @property
    def virtual_domains(self) -> bool:
        """Do user ids contain the domain?"""
        return self._users.virtual_domains

    def users(
        self, selection: Selection, on_failure: Callable[[str, Temporary], None]
    ) -> Iterator[str]:
        """The user ids of a selection. A user that several sources list comes several times.

        Args:
            on_failure: is called for each user whose groups cannot be looked up.

        Raises:
            Temporary: a source did not answer.
            ConfigurationError: a source cannot list its users, or no source has a name that was given.
        """
        named = selection.users
        listed = self._directory.names(selection.sources) if named is None else iter(named)
        for name in listed:
            user = self._users.of_account(name)
            try:
                if self._is_in_domain(user, selection) and self._is_in_groups(user, selection):
                    yield user
            except Temporary as error:
                on_failure(user, error)

    def address(self, user: str, selection: Selection) -> Address:
        """The address by which a user's policy is chosen.

        Where a user id contains no domain: the selection's domain, or else our only one.
        """
        local, _, domain = user.partition("@")
        if self.virtual_domains:
            return Address(local, domain)
        return Address(local, domain or selection.domain or self._sole_domain)

    def knows_domain(self, selection: Selection) -> bool:
        """Is it clear by which domain a user's policy is chosen?"""
        return self.virtual_domains or bool(selection.domain or self._sole_domain)

    def selects_all(self, selection: Selection) -> bool:
        """Does the selection have every account of the site?"""
        by_domain = selection.domain and self.virtual_domains
        return selection.users is None and not (selection.sources or selection.groups or by_domain)

    @property
    def _sole_domain(self) -> str:
        """Our domain, if there is only one."""
        (first, *others) = self._domains or ("",)
        return "" if others or first == ANY_DOMAIN else first

    def _is_in_domain(self, user: str, selection: Selection) -> bool:
        if not selection.domain or not self.virtual_domains:
            return True
        return (domain_of(user) or self._users.default_domain) == selection.domain

    def _is_in_groups(self, user: str, selection: Selection) -> bool:
        if not selection.groups:
            return True
        account = self._directory.find(user)
        return account is not None and bool(
            shared_groups(selection.groups, self._directory.groups(account))
        )
