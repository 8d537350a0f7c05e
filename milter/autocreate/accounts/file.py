"""Accounts in a text file (one user per line, passwd(5) or a Postfix table), and groups in another.

The files are read again whenever they change. While a file is empty, or was just changed, a missing
user is not unknown, and no groups are known (see `autocreate.backends.reloading_file`).
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Sized
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from autocreate.accounts import account_of
from autocreate.backends.reloading_file import Reading, ReloadingFile
from autocreate.core.naming import Users
from autocreate.core.spelling import Spellings
from autocreate.errors import Temporary
from autocreate.model import Account

# The field of a line of passwd(5) with the number of the primary group.
_GROUP = 3


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
        self._domains = frozenset(domains)
        self._user_ids = users
        parse = partial(_table, self._domains) if format == "postfix" else _users
        self._users = ReloadingFile(path, lambda text: _Users(parse(text), users), clock)
        self._groups = ReloadingFile(groups, partial(_groups, users), clock) if groups else None

    def lookup(self, user: str) -> Account | None:
        """See `AccountSource.lookup`."""
        return self._found(user)[0]

    def groups(self, account: Account) -> frozenset[str]:
        """See `AccountSource.groups`. The primary group of a passwd(5) line is among them."""
        if self._groups is None:
            return frozenset()
        primary = self._primary(account.user)
        read = self._groups.read()
        # A policy can depend on a group that the user is not in, so all groups must be known.
        if uncertainty := _uncertainty(self._groups, read, read.content):
            raise Temporary(uncertainty)
        return frozenset(
            group.name
            for group in read.content
            if account.user in group.members or (primary and primary == group.number)
        )

    def names(self) -> Iterator[str] | None:
        """See `AccountSource.names`. A user with and without one of `domains` is listed once."""
        parts = ((user, *user.rpartition("@")) for user in self._users.read().content.lines)
        return (user for user, _, at, domain in parts if not (at and domain in self._domains))

    def close(self) -> None:
        """Nothing is open."""

    def _found(self, user: str) -> "tuple[Account | None, _User]":
        """The account of `user`, and its line; None and an empty line if there is none.

        Raises:
            Temporary: as for `AccountSource.lookup`.
        """
        read = self._users.read()
        users = read.content
        account = None
        if names := users.spellings.of(user, users.lines):
            try:
                account = account_of(user, self.name, names, self._user_ids)
            except Temporary as error:
                raise Temporary(f"{self._users.path} has {error}") from error
        line = users.lines[account.spellings[-1]] if account else _User(may_go_on=True)
        if line.may_go_on and (uncertainty := _uncertainty(self._users, read, users.lines)):
            raise Temporary(uncertainty)
        return account, line

    def _primary(self, name: str) -> str:
        """The number of a user's primary group; "" if it has none."""
        group = self._found(name)[1].group
        if group is None:
            raise Temporary(f"{self._users.path}: the line of {name!r} ends before its group")
        return group


class _User(NamedTuple):
    """The data of a user in its line.

    Args:
        group: the number of its primary group; None if the line ends before it but should have it.
        may_go_on: the file ends with this name, which may be incomplete.
    """

    group: str | None = ""
    may_go_on: bool = False


class _Users:
    """The lines of a file by the name they begin with, and names that Cyrus spells differently."""

    def __init__(self, lines: Mapping[str, _User], users: Users) -> None:
        self.lines = lines
        self.spellings = Spellings(lines, users)


class _Group(NamedTuple):
    """A line of group(5); its members are user ids."""

    name: str
    number: str
    members: frozenset[str]


def _uncertainty(file: ReloadingFile[Any], read: Reading[Any], content: Sized) -> str:
    """Why something that is missing in a file may exist all the same; "" if it does not."""
    return read.uncertainty if content else f"{file.path} is empty; it may be incomplete"


def _users(text: str) -> Mapping[str, _User]:
    lines = [line.split(":") for line in _lines(text)]
    is_passwd = any(len(fields) > _GROUP for fields in lines)
    cut = lines[-1] if _ends_within_a_line(text) else None
    return {
        fields[0].strip(): _User(
            _group_in(fields, is_passwd, fields is cut), fields is cut and len(fields) == 1
        )
        for fields in lines
    }


def _group_in(fields: Sequence[str], is_passwd: bool, is_cut: bool) -> str | None:
    """The number of the group in a line, which may be of passwd(5) or have other fields."""
    if len(fields) == 1:
        return ""
    # At the end of the file, the number may lack digits.
    if len(fields) > _GROUP + is_cut:
        return fields[_GROUP]
    return None if is_passwd or is_cut else ""


def _table(domains: Collection[str], text: str) -> Mapping[str, _User]:
    """The keys of a Postfix table, in lower case as Postfix looks them up."""
    # A line that begins with white space continues the one before it, unless it is a comment.
    keys = [
        line.split(maxsplit=1)[0].lower()
        for line in text.splitlines()
        if line.strip() and line[0] not in "# \t"
    ]
    users = dict.fromkeys((key for key in keys if not key.startswith("@")), _User())
    for key in list(users):
        local, _, domain = key.rpartition("@")
        if local and domain in domains:
            users[local] = _User()
    return users


def _groups(users: Users, text: str) -> list[_Group]:
    groups = []
    for line in _lines(text):
        name, _, number, members = [*line.split(":", 3), "", "", ""][:4]
        ids = frozenset(users.of_account(member.strip()) for member in members.split(","))
        groups.append(_Group(name.strip(), number, ids))
    return groups


def _ends_within_a_line(text: str) -> bool:
    """Is the last line without a line end? It may be incomplete."""
    return bool(_lines(text.rpartition("\n")[2]))


def _lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
