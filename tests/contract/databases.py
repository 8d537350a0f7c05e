"""What stands behind account sources: databases that tests fill, take away and bring back.

To put a new kind of source under the contract, write one `Database` for it and add it to `DATABASES`.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from autocreate.accounts import AccountSource
from autocreate.accounts.file import FileSource
from autocreate.accounts.sql import SqlSource

from .elsewhere import private_etc


class Database(ABC):
    """Accounts that a test puts somewhere, and the source under test that looks there.

    Args:
        source: the source under test, whose name is `it`.
        secret: what no error may show: the password of a database that has one.
    """

    def __init__(self, source: AccountSource, secret: str = "") -> None:
        self.source = source
        self.secret = secret

    @abstractmethod
    def put(self, accounts: Mapping[str, Sequence[str]]) -> None:
        """Make these users, each with its groups, the only ones. There is at least one."""

    @abstractmethod
    def away(self) -> AbstractContextManager[None]:
        """Meanwhile the database cannot be asked. Afterwards it holds what it held."""

    def can_hold(self, user: str) -> bool:
        """Can a database of this kind have a user of that name at all?"""
        return is_text(user)


class Passwd(Database):
    """type = "file", in the formats of passwd(5) and group(5)."""

    def __init__(self, folder: Path) -> None:
        self._users = folder / "users"
        self._groups = folder / "groups"
        # To a clock that is fast, no file was written just now.
        super().__init__(
            FileSource("it", self._users, self._groups, clock=lambda: time.time() + 3600)
        )

    def put(self, accounts: Mapping[str, Sequence[str]]) -> None:
        self._users.write_text("".join(f"{user}:x:1:1:::\n" for user in accounts), "utf-8")
        self._groups.write_text(group_lines(accounts), "utf-8")

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        with moved_away(self._users):
            yield

    def can_hold(self, user: str) -> bool:
        is_line = user == user.strip() and not user.startswith("#") and not set(user) & set(":,\n")
        return bool(user) and is_line and is_text(user)


class Nss(Database):
    """type = "nss", with a passwd(5) and a group(5) of the test's own."""

    def __init__(self, folder: Path, source: AccountSource) -> None:
        super().__init__(source)
        self._folder = folder

    def put(self, accounts: Mapping[str, Sequence[str]]) -> None:
        users = ["root:x:0:0:root:/root:/bin/sh\n"]
        users += [f"{user}:x:{2000 + n}:100:::\n" for n, user in enumerate(accounts)]
        (self._folder / "passwd").write_text("".join(users), "utf-8")
        (self._folder / "group").write_text(group_lines(accounts), "utf-8")

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        with moved_away(self._folder / "passwd"):
            yield

    def can_hold(self, user: str) -> bool:
        is_line = bool(user) and user[0] not in "+-# " and not set(user) & set(":,\n\0")
        return is_line and is_text(user)


class Sqlite(Database):
    """type = "sql" with the embedded default."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "accounts.db"
        with contextlib.closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute("CREATE TABLE accounts (userid TEXT)")
            connection.execute("CREATE TABLE memberships (userid TEXT, name TEXT)")
        super().__init__(
            SqlSource(
                "it",
                f"sqlite:///{self.file}",
                "SELECT userid FROM accounts WHERE userid = :user",
                "SELECT name FROM memberships WHERE userid = :user",
                timeout=0.1,
            )
        )

    def put(self, accounts: Mapping[str, Sequence[str]]) -> None:
        with contextlib.closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute("DELETE FROM accounts")
            connection.execute("DELETE FROM memberships")
            connection.executemany(
                "INSERT INTO accounts VALUES (?)", [(user,) for user in accounts]
            )
            connection.executemany(
                "INSERT INTO memberships VALUES (?, ?)",
                [(user, group) for user, groups in accounts.items() for group in groups],
            )

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        with moved_away(self.file):
            yield


@contextlib.contextmanager
def passwd(folder: Path) -> Iterator[Database]:
    yield Passwd(folder)


@contextlib.contextmanager
def nss(folder: Path) -> Iterator[Database]:
    with private_etc(folder) as source:
        yield Nss(folder, source)


@contextlib.contextmanager
def sqlite(folder: Path) -> Iterator[Database]:
    database = Sqlite(folder)
    yield database
    database.source.close()


# Each is given an empty folder. What is slow to start may be shared: `put` takes away what was there.
DATABASES: dict[str, Callable[[Path], AbstractContextManager[Database]]] = {
    "file": passwd,
    "nss": nss,
    "sqlite": sqlite,
}


def is_text(name: str) -> bool:
    """Is it free of the lone surrogates that stand for bytes which are no UTF-8?"""
    return name == name.encode("utf-8", "ignore").decode("utf-8")


@contextlib.contextmanager
def moved_away(file: Path) -> Iterator[None]:
    aside = file.with_suffix(".aside")
    file.rename(aside)
    yield
    aside.rename(file)


def group_lines(accounts: Mapping[str, Sequence[str]]) -> str:
    """group(5)."""
    groups = sorted({group for groups in accounts.values() for group in groups})
    return "".join(
        f"{group}:x:{3000 + number}:{','.join(u for u in accounts if group in accounts[u])}\n"
        for number, group in enumerate(groups)
    )
