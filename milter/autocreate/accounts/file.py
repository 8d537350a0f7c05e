"""Accounts in a text file (one user per line, passwd(5) or a Postfix table), and groups in another.

The files are read again whenever they change. While a file is empty, or was just changed, a missing
user is not unknown, and no groups are known (see `autocreate.backends.reloading_file`).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from autocreate.accounts import account_of
from autocreate.accounts.user_lines import User, parse_groups, parse_table, parse_users
from autocreate.backends.mounts import is_on_this_machine
from autocreate.backends.reloading_file import Reading, ReloadingFile
from autocreate.core.naming import Users
from autocreate.errors import NotInMemory, Temporary
from autocreate.model import Account


class FileSource:
    """Users of a file.

    Args:
        name: what the configuration calls this source.
        users: how the names in the file become user ids.
        path: one user per line, or passwd(5): the text before the first colon is the user. Empty lines
            and lines that begin with `#` are ignored.
        groups: a file like group(5), or None.
        format: "lines" for the above, "postfix" for the source text of a Postfix table (postmap(1)),
            whose keys are the users. Of a key `user@domain`, `user` is one too if `domains` has the domain.
        clock: the time in seconds since the epoch.
    """

    def __init__(
        self,
        name: str,
        users: Users,
        *,
        path: Path,
        groups: Path | None,
        format: str,
        domains: Sequence[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.has_groups = groups is not None
        self._is_on_this_machine = is_on_this_machine(path)
        self._domains = frozenset(domains)
        self._user_ids = users
        read = partial(parse_table, self._domains) if format == "postfix" else parse_users
        self._users = ReloadingFile(path, partial(read, users), clock)
        self._groups = (
            ReloadingFile(groups, partial(parse_groups, users), clock) if groups else None
        )

    def lookup(self, user: str) -> Account | None:
        """See `AccountSource.lookup`."""
        return self._found(user)[0]

    def recall(self, user: str) -> Account | None:
        """See `MemorySource.recall`. A look at a file of another machine may never return."""
        if not self._is_on_this_machine:
            raise NotInMemory(f"{self._users.path} is on another machine")
        return self._found(user, may_wait=False)[0]

    def groups(self, account: Account) -> frozenset[str]:
        """See `AccountSource.groups`. The primary group of a passwd(5) line is among them."""
        if self._groups is None:
            return frozenset()
        primary = self._primary(account.user)
        read = self._groups.read()
        # A policy can depend on a group that the user is not in, so all groups must be known.
        if uncertainty := _uncertainty(self._groups, read):
            raise Temporary(uncertainty)
        return read.content.of(account.user, primary)

    def names(self) -> Iterator[str] | None:
        """See `AccountSource.names`. A user with and without one of `domains` is listed without it."""
        parts = ((user, *user.rpartition("@")) for user in self._users.read().content)
        return (user for user, _, at, domain in parts if not (at and domain in self._domains))

    def close(self) -> None:
        """Nothing is open."""

    def load(self, until: float) -> None:
        """See `ReloadingFile.load`."""
        self._users.load(until)
        if self._groups:
            self._groups.load(until)

    def _found(self, user: str, may_wait: bool = True) -> tuple[Account | None, User]:
        """The account of `user`, and the data of its line; None and nothing if there is none.

        Raises:
            Temporary: as for `AccountSource.lookup`.
            NotInMemory: as for `ReloadingFile.read`.
        """
        read = self._users.read(may_wait)
        users = read.content
        account = None
        if names := users.spellings(user):
            try:
                account = account_of(user, self.name, names, self._user_ids)
            except Temporary as error:
                raise Temporary(f"{self._users.path} has {error}") from error
        data = users.user(account.spellings[-1]) if account else User(may_go_on=True)
        if data.may_go_on and (uncertainty := _uncertainty(self._users, read)):
            raise Temporary(uncertainty)
        return account, data

    def _primary(self, name: str) -> str:
        """The number of a user's primary group; "" if it has none."""
        group = self._found(name)[1].group
        if group is None:
            raise Temporary(f"{self._users.path}: the line of {name!r} ends before its group")
        return group


def _uncertainty(file: ReloadingFile[Any], read: Reading[Any]) -> str:
    """Why something that is missing in a file may exist all the same; "" if it does not."""
    return read.uncertainty if read.content else f"{file.path} is empty; it may be incomplete"
