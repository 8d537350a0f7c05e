"""Account sources: who exists. One module a source; `SOURCES` is the table of them.

A look-up has three answers, never two: an `Account`, None for an authoritative no, and
`Temporary` for "cannot tell". A source never turns an error into a no, because that no would
become a 550.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from autocreate.core.naming import Users
from autocreate.core.spelling import own_name
from autocreate.model import Account


class AccountSource(Protocol):
    """A database that knows users.

    Sources are called from several threads at once, and are handed user ids as Cyrus spells them:
    `joe`, or `joe@other.test` where virtual domains are on. A name that they find is compared as
    `autocreate.core.spelling` says. `has_groups` says whether it was told where to find any.
    """

    name: str
    has_groups: bool

    def lookup(self, user: str) -> Account | None:
        """The account of `user`, or None if this database has no such user.

        Raises:
            Temporary: the database did not answer, or its answer made no sense.
        """

    def groups(self, account: Account) -> frozenset[str]:
        """The names of the groups that `account` belongs to; none if it is not of this source.

        Raises:
            Temporary: as for `lookup`.
        """

    def names(self) -> Iterator[str] | None:
        """The names of all users, as they are spelled there; None if this database does not list them.

        Raises:
            Temporary: as for `lookup`; perhaps in the middle of the list.
        """

    def close(self) -> None:
        """Let go of connections and files. The source is not used afterwards."""


class Source(NamedTuple):
    """Where a source's code is. Loaded only when a configuration names it."""

    module: str
    factory: str


SOURCES = {
    "file": Source("autocreate.accounts.file", "FileSource"),
    "ldap": Source("autocreate.accounts.ldap", "LdapSource"),
    "nss": Source("autocreate.accounts.nss", "NssSource"),
    "sasldb": Source("autocreate.accounts.sasldb", "SasldbSource"),
    "shadow": Source("autocreate.accounts.shadow", "ShadowSource"),
    "sql": Source("autocreate.accounts.sql", "SqlSource"),
}


def account_of(
    user: str,
    source: str,
    found: Sequence[str],
    users: Users,
    attributes: tuple[tuple[str, str], ...] = (),
) -> Account | None:
    """The account of `user` by the names that a source found for it; None if it is somebody else's.

    Raises:
        Temporary: see `autocreate.core.spelling.own_name`.
    """
    name = own_name(user, found, users)
    if name is None:
        return None
    return Account(user, source, attributes, "" if name == user else name)
