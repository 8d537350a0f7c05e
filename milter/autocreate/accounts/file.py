"""Accounts in a text file: one user a line, or passwd(5); groups in a file like group(5).

The file is read again whenever it changes. A file can be caught while somebody writes it, and what
is missing then is not missing: so a user who is not in a file that is empty, or younger than two
seconds, is in doubt (Postfix distrusts fresh files in the same way).
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from autocreate.errors import Temporary
from autocreate.model import Account

# Seconds that a file must have been left alone before its "no" counts.
_SETTLED = 2.0

T = TypeVar("T")


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
        self._clock = clock
        self._users = _Watched(path, _users)
        self._groups = _Watched(groups, _groups) if groups else None

    def lookup(self, user: str) -> Account | None:
        """See `AccountSource.lookup`."""
        users, written = self._users.read()
        if user in users:
            return Account(user, self.name)
        if not users:
            raise Temporary(f"{self._users.path} is empty; is somebody writing it?")
        if abs(self._clock() - written) < _SETTLED:
            raise Temporary(f"{self._users.path} was written just now; its no is not final yet")
        return None

    def groups(self, account: Account) -> frozenset[str]:
        """See `AccountSource.groups`. A passwd(5) line's group id counts too."""
        if self._groups is None:
            return frozenset()
        primary = self._users.read().content.get(account.user, "")
        groups = self._groups.read().content
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


class _Read(NamedTuple, Generic[T]):
    content: T
    written: float


class _Watched(Generic[T]):
    """A file's content, parsed once for each version of the file."""

    def __init__(self, path: Path, parse: Callable[[str], T]) -> None:
        self.path = path
        self._parse = parse
        self._lock = threading.Lock()
        self._version: tuple[int, ...] = ()
        self._read: _Read[T] | None = None

    def read(self) -> _Read[T]:
        """The content, and when the file was written, in seconds since the epoch.

        Raises:
            Temporary: the file cannot be read, is no UTF-8, or changes while it is read.
        """
        try:
            with self._lock:
                found = os.stat(self.path)
                if self._read is None or _version(found) != self._version:
                    text = self.path.read_text(encoding="utf-8")
                    if _version(os.stat(self.path)) != _version(found):
                        raise Temporary(f"{self.path} changes while it is read")
                    self._read = _Read(self._parse(text), found.st_mtime)
                    self._version = _version(found)
                return self._read
        except (OSError, UnicodeDecodeError) as error:
            raise Temporary(f"{self.path} cannot be read: {error}") from error


def _version(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
