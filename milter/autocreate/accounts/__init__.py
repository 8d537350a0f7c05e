"""Account sources, one module each. `SOURCES` lists their types.

A lookup has three results: an `Account`, None if the user certainly does not exist, and
`Temporary` if that cannot be told. A source never turns an error into None, since that would
become a 550.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from autocreate.core.naming import Users
from autocreate.core.spelling import own_name
from autocreate.model import Account


class AccountSource(Protocol):
    """A database that knows users.

    Sources are called from several threads at once. User ids are as Cyrus writes them: `joe`, or
    `joe@other.test` with virtual domains. A name that they find is compared as
    `autocreate.core.spelling` says. `has_groups` says whether the source is configured to find groups.
    """

    name: str
    has_groups: bool

    def lookup(self, user: str) -> Account | None:
        """The account of `user`, or None if this database has no such user.

        Raises:
            Temporary: the database did not answer, or its answer is not usable.
        """

    def groups(self, account: Account) -> frozenset[str]:
        """The names of the groups that `account` belongs to; none if it is not of this source.

        Raises:
            Temporary: as for `lookup`.
        """

    def names(self) -> Iterator[str] | None:
        """The names of all users as the database spells them; None if it cannot list them.

        Raises:
            Temporary: as for `lookup`; perhaps in the middle of the list.
        """

    def close(self) -> None:
        """Close connections and files. The source is not used afterwards."""


@runtime_checkable
class MemorySource(AccountSource, Protocol):
    """A source that can answer from memory, at least at times. It is then asked in the caller's own thread.

    That may be a thread of libmilter's, in which no C code may call back into Python: see docs/decisions/0063.
    """

    def recall(self, user: str) -> Account | None:
        """As `lookup`, but without a driver, a socket, or any other wait.

        Raises:
            NotInMemory: ask `lookup`, in a thread that Python started.
            Temporary: as for `lookup`.
        """


class Source(NamedTuple):
    """Where the code of a source is. It is imported only if the configuration uses it."""

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
    """The account of `user`, from the names that a source found; None if they belong to another user.

    Raises:
        Temporary: see `autocreate.core.spelling.own_name`.
    """
    name = own_name(user, found, users)
    if name is None:
        return None
    return Account(user, source, attributes, "" if name == user else name)
