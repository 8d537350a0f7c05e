"""Accounts in a text file: one user a line, passwd(5) or a Postfix table; and groups in another.

The file is read again whenever it changes. A user who is not in a file that is empty, or was written
just now, is in doubt: see `autocreate.accounts.watched`.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
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
        format: "lines" for the above, "postfix" for the text of a Postfix table (postmap(1)), whose
            keys are the users, and its `user@domain` too where the domain is one of `domains`.
        clock: the time in seconds since the epoch.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        groups: Path | None = None,
        format: str = "lines",
        domains: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.has_groups = groups is not None
        self._domains = frozenset(domains)
        parse = partial(_table, self._domains) if format == "postfix" else _users
        self._users = Watched(path, parse, clock)
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

    def names(self) -> Iterator[str] | None:
        """See `AccountSource.names`. Who is known with and without one of `domains` comes once."""
        parts = ((user, *user.rpartition("@")) for user in self._users.read())
        return (user for user, _, at, domain in parts if not (at and domain in self._domains))

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


def _table(domains: Collection[str], text: str) -> Mapping[str, str]:
    """The keys of a Postfix table. Postfix looks for them in lower case, so that is what they are."""
    # A line that begins with white space continues the one before it, unless it is a comment.
    keys = [
        line.split(maxsplit=1)[0].lower()
        for line in text.splitlines()
        if line.strip() and line[0] not in "# \t"
    ]
    users = dict.fromkeys((key for key in keys if not key.startswith("@")), "")
    for key in list(users):
        local, _, domain = key.rpartition("@")
        if local and domain in domains:
            users[local] = ""
    return users


def _groups(text: str) -> list[_Group]:
    groups = []
    for line in _lines(text):
        name, _, number, members = [*line.split(":", 3), "", "", ""][:4]
        groups.append(_Group(name.strip(), number, frozenset(map(str.strip, members.split(",")))))
    return groups


def _lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
