"""Accounts in a text file: one user a line, or passwd(5); groups in a file like group(5).

The file is read again whenever it changes. A user who is not in a file that is empty, or was written
just now, is in doubt: see `autocreate.accounts.watched`.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from autocreate.accounts.watched import Watched
from autocreate.errors import Temporary
from autocreate.model import Account


class FileSource:
    """Users of a file.

    Args:
        name: what the configuration calls this source.
        path: one user a line, or passwd(5): what precedes the first colon is the user. Empty lines
            and lines that begin with `#` do not count.
        groups: a file like group(5), or None.
        clock: the time in seconds since the epoch.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        groups: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._users = Watched(path, _users, clock)
        self._groups = Watched(groups, _groups, clock) if groups else None

    def lookup(self, user: str) -> Account | None:
        """See `AccountSource.lookup`."""
        users = self._users.read()
        if user in users:
            return Account(user, self.name)
        if not users:
            raise Temporary(f"{self._users.path} is empty; is somebody writing it?")
        if doubt := self._users.doubt():
            raise Temporary(doubt)
        return None

    def groups(self, account: Account) -> frozenset[str]:
        """See `AccountSource.groups`. A passwd(5) line's group id counts too."""
        if self._groups is None:
            return frozenset()
        primary = self._users.read().get(account.user, "")
        groups = self._groups.read()
        return frozenset(
            group.name
            for group in groups
            if account.user in group.members or (primary and primary == group.number)
        )

    def close(self) -> None:
        """Nothing is held open."""


class _Group(NamedTuple):
    name: str
    number: str
    members: frozenset[str]


def _users(text: str) -> Mapping[str, str]:
    """Users, each with the number of its group if the line says one."""
    users = {}
    for line in _lines(text):
        user, *fields = line.split(":")
        users[user.strip()] = fields[2] if len(fields) > 2 else ""
    return users


def _groups(text: str) -> list[_Group]:
    groups = []
    for line in _lines(text):
        name, _, number, members = [*line.split(":", 3), "", "", ""][:4]
        groups.append(_Group(name.strip(), number, frozenset(map(str.strip, members.split(",")))))
    return groups


def _lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
