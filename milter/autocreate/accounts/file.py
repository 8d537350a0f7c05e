"""Accounts in a text file: one user a line, passwd(5) or a Postfix table; and groups in another.

The files are read again whenever they change. What is missing in a file that is empty, or was written
just now, is in doubt (see `autocreate.backends.reloading_file`): a user in the one, any group in the other.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Sized
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from autocreate.accounts import account_of
from autocreate.backends.reloading_file import ReloadingFile
from autocreate.core.naming import Users
from autocreate.core.spelling import Spellings
from autocreate.errors import Temporary
from autocreate.model import Account

# The field of a passwd(5) line that has the number of the primary group.
_GROUP = 3


class FileSource:
    """Users of a file.

    Args:
        name: what the configuration calls this source.
        users: how names there become user ids.
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
        """See `AccountSource.groups`. A passwd(5) line's group id counts too."""
        if self._groups is None:
            return frozenset()
        primary = self._primary(account.user)
        groups = self._groups.read()
        # A policy hangs on whoever is not in a group just as on whoever is: all must be there.
        if doubt := _doubt(self._groups, groups):
            raise Temporary(doubt)
        return frozenset(
            group.name
            for group in groups
            if account.user in group.members or (primary and primary == group.number)
        )

    def names(self) -> Iterator[str] | None:
        """See `AccountSource.names`. Who is known with and without one of `domains` comes once."""
        parts = ((user, *user.rpartition("@")) for user in self._users.read().lines)
        return (user for user, _, at, domain in parts if not (at and domain in self._domains))

    def close(self) -> None:
        """Nothing is held open."""

    def _found(self, user: str) -> "tuple[Account | None, _User]":
        """The account of `user`, and what its line says; nothing of either if there is no such line.

        Raises:
            Temporary: as for `AccountSource.lookup`.
        """
        users = self._users.read()
        account = None
        if names := users.spellings.of(user, users.lines):
            try:
                account = account_of(user, self.name, names, self._user_ids)
            except Temporary as error:
                raise Temporary(f"{self._users.path} has {error}") from error
        line = users.lines[account.spellings[-1]] if account else _User(may_go_on=True)
        if line.may_go_on and (doubt := _doubt(self._users, users.lines)):
            raise Temporary(doubt)
        return account, line

    def _primary(self, name: str) -> str:
        """The number of a user's primary group; nothing if it has none."""
        group = self._found(name)[1].group
        if group is None:
            raise Temporary(f"{self._users.path}: the line of {name!r} ends before its group")
        return group


class _User(NamedTuple):
    """What a line says of its user.

    Args:
        group: the number of its primary group; None if the line ends before it, and should not.
        may_go_on: the text ends where the name does; there may be more of both.
    """

    group: str | None = ""
    may_go_on: bool = False


class _Users:
    """The lines of a file by the name they begin with, and names that Cyrus spells otherwise."""

    def __init__(self, lines: Mapping[str, _User], users: Users) -> None:
        self.lines = lines
        self.spellings = Spellings(lines, users)


class _Group(NamedTuple):
    """A line of group(5); its members are user ids."""

    name: str
    number: str
    members: frozenset[str]


def _doubt(file: ReloadingFile[Any], content: Sized) -> str:
    """Why what is missing in the content of a file may be there all the same; or nothing."""
    return file.doubt() if content else f"{file.path} is empty; is somebody writing it?"


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
    """The number of the group in a line, of passwd(5) or with something else behind its user."""
    if len(fields) == 1:
        return ""
    # A number that ends where the text does may have more digits.
    if len(fields) > _GROUP + is_cut:
        return fields[_GROUP]
    return None if is_passwd or is_cut else ""


def _table(domains: Collection[str], text: str) -> Mapping[str, _User]:
    """The keys of a Postfix table. Postfix looks for them in lower case, so that is what they are."""
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
    """Is there a line that no line end follows? It may be cut off."""
    return bool(_lines(text.rpartition("\n")[2]))


def _lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
