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
from typing import Any, TypeVar

from autocreate.accounts import AccountSource
from autocreate.accounts.file import FileSource
from autocreate.accounts.sasldb import SasldbSource
from autocreate.core.naming import CYRUS_DEFAULTS
from tests.configured import account_source
from tests.servers import slapd
from tests.servers.berkeley import sasldb_key, write_hash
from tests.servers.database import DatabaseServer
from tests.servers.mariadb import MariaDb
from tests.servers.postgres import Postgres
from tests.servers.slapd import Slapd

from .elsewhere import private_etc


class Database(ABC):
    """Accounts that a test puts somewhere, and the source under test that looks there.

    Args:
        source: the source under test, whose name is `it`.
        secret: what no error may show: the password of a database that has one.
    """

    # Does it find `KLee` for `klee`?
    ignores_case = True

    def __init__(self, source: AccountSource, secret: str = "") -> None:
        self.source = source
        self.secret = secret

    @abstractmethod
    def put(self, accounts: Mapping[str, Sequence[str]]) -> None:
        """Make these users, each with its groups, the only ones. There is at least one."""

    @abstractmethod
    def away(self) -> AbstractContextManager[None]:
        """Meanwhile the database cannot be asked. Afterwards it holds what it held."""

    def known(self, *groups: str) -> frozenset[str]:
        """What a member of these groups is in, as far as a database of this kind knows groups."""
        return frozenset(groups if self.source.has_groups else ())

    def own_spelling(self, name: str) -> str:
        """How a database of this kind spells the name of an account."""
        return name

    def can_hold(self, user: str) -> bool:
        """Can a database of this kind have a user of that name at all?"""
        return is_text(user)


class Passwd(Database):
    """type = "file", in the formats of passwd(5) and group(5)."""

    def __init__(self, folder: Path) -> None:
        self._users = folder / "users"
        self._groups = folder / "groups"
        # To a clock that is fast, no file was changed less than 2 seconds ago.
        super().__init__(
            FileSource(
                "it",
                CYRUS_DEFAULTS,
                path=self._users,
                groups=self._groups,
                format="lines",
                domains=(),
                clock=lambda: time.time() + 3600,
            )
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
        (self._folder / "group").write_text("root:x:0:\n" + group_lines(accounts), "utf-8")

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        with moved_away(self._folder / "passwd"):
            yield

    def can_hold(self, user: str) -> bool:
        is_line = bool(user) and user[0] not in "+-# " and not set(user) & set(":,\n\0")
        return is_line and is_text(user)


class PostfixTable(Database):
    """type = "file", with the text of a Postfix table."""

    def __init__(self, folder: Path) -> None:
        self._users = folder / "virtual"
        self._groups = folder / "groups"
        super().__init__(
            FileSource(
                "it",
                CYRUS_DEFAULTS,
                path=self._users,
                groups=self._groups,
                format="postfix",
                domains=["example.org"],
                clock=lambda: time.time() + 3600,
            )
        )

    def put(self, accounts: Mapping[str, Sequence[str]]) -> None:
        lines = [f"{user}@example.org\t{number}/\n" for number, user in enumerate(accounts)]
        head = "# The mailboxes\n@other.test catch/all\n"
        self._users.write_text(head + "  and its continuation\n".join(lines), "utf-8")
        self._groups.write_text(group_lines(accounts), "utf-8")

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        with moved_away(self._users):
            yield

    def can_hold(self, user: str) -> bool:
        is_key = (
            user.isprintable() and not user.startswith(("#", "@")) and not set(user) & set(" :,@")
        )
        return bool(user) and is_key and user == user.lower() and is_text(user)

    def own_spelling(self, name: str) -> str:
        return name.lower()


class Shadow(Nss):
    """type = "shadow", with a passwd(5), a group(5) and a shadow(5) of the test's own."""

    def put(self, accounts: Mapping[str, Sequence[str]]) -> None:
        super().put(accounts)
        lines = [f"{user}:$y$j9T$not$real:19000:0:99999:7:::\n" for user in accounts]
        (self._folder / "shadow").write_text("".join(lines), "utf-8")

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        with moved_away(self._folder / "shadow"), moved_away(self._folder / "passwd"):
            yield


class Sasldb(Database):
    """type = "sasldb". SASL has no groups."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "sasldb2"
        super().__init__(
            SasldbSource(
                "it",
                CYRUS_DEFAULTS,
                path=self._file,
                realm="example.org",
                clock=lambda: time.time() + 3600,
            ),
            secret="geheim",
        )

    def put(self, accounts: Mapping[str, Sequence[str]]) -> None:
        names = (user.partition("@") for user in accounts)
        keys = (sasldb_key(name, realm or "example.org") for name, _, realm in names)
        write_hash(self._file, ((key, b"geheim") for key in keys))

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        with moved_away(self._file):
            yield

    def can_hold(self, user: str) -> bool:
        return bool(user) and "\0" not in user and is_text(user)


class Ldap(Database):
    """type = "ldap", over StartTLS; groups by `memberOf`, or by a search."""

    def __init__(self, server: Slapd, secret: Path, **settings: Any) -> None:
        self._server = server
        secret.write_text(server.reader_password + "\n")
        super().__init__(
            account_source(
                "ldap",
                urls=[server.url],
                ca_file=server.certificate.ca_file,
                bind_dn=server.reader,
                password_file=secret,
                base=slapd.PEOPLE,
                timeout=5.0,
                **settings,
            ),
            server.reader_password,
        )

    def put(self, accounts: Mapping[str, Sequence[str]]) -> None:
        self._server.put(accounts)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        self._server.stop()
        yield
        self._server.start()

    def can_hold(self, user: str) -> bool:
        return bool(user) and is_text(user) and user == user.strip()


class SqlServer(Database):
    """type = "sql" with a server.

    Args:
        equals: how a column `{}` is compared with the user id.
        ignores_case: whether that finds other capitals.
    """

    def __init__(
        self,
        server: Postgres | MariaDb,
        secret: Path,
        equals: str = "{} = :user",
        ignores_case: bool = False,
    ) -> None:
        self._server = server
        self.ignores_case = ignores_case
        where = equals.format("userid")
        secret.write_text(server.password + "\n")
        super().__init__(
            account_source(
                "sql",
                url=server.url,
                query=f"SELECT userid FROM accounts WHERE {where}",
                groups_query=f"SELECT name FROM memberships WHERE {where}",
                list_query="SELECT userid FROM accounts",
                password_file=secret,
                timeout=5.0,
            ),
            server.password,
        )

    def put(self, accounts: Mapping[str, Sequence[str]]) -> None:
        self._server.put(accounts)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        self._server.stop()
        yield
        self._server.start()

    def can_hold(self, user: str) -> bool:
        return is_text(user) and "\0" not in user


class Sqlite(Database):
    """type = "sql" with the embedded default. The rest is as for `SqlServer`."""

    def __init__(
        self, folder: Path, equals: str = "{} = :user", ignores_case: bool = False
    ) -> None:
        self.file = folder / "accounts.db"
        self.ignores_case = ignores_case
        where = equals.format("userid")
        with contextlib.closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute("CREATE TABLE accounts (userid TEXT)")
            connection.execute("CREATE TABLE memberships (userid TEXT, name TEXT)")
        super().__init__(
            account_source(
                "sql",
                url=f"sqlite:///{self.file}",
                query=f"SELECT userid FROM accounts WHERE {where}",
                groups_query=f"SELECT name FROM memberships WHERE {where}",
                list_query="SELECT userid FROM accounts",
                timeout=1.0,
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

    def can_hold(self, user: str) -> bool:
        return is_text(user) and "\0" not in user


@contextlib.contextmanager
def passwd(folder: Path) -> Iterator[Database]:
    yield Passwd(folder)


@contextlib.contextmanager
def nss(folder: Path) -> Iterator[Database]:
    with private_etc(folder) as source:
        yield Nss(folder, source)


@contextlib.contextmanager
def nss_of_debian(folder: Path) -> Iterator[Database]:
    with private_etc(folder, services="files systemd") as source:
        yield Nss(folder, source)


@contextlib.contextmanager
def postfix_table(folder: Path) -> Iterator[Database]:
    yield PostfixTable(folder)


@contextlib.contextmanager
def shadow(folder: Path) -> Iterator[Database]:
    with private_etc(folder, "shadow") as source:
        yield Shadow(folder, source)


@contextlib.contextmanager
def shadow_of_debian(folder: Path) -> Iterator[Database]:
    with private_etc(folder, "shadow", "files systemd") as source:
        yield Shadow(folder, source)


@contextlib.contextmanager
def sasldb(folder: Path) -> Iterator[Database]:
    yield Sasldb(folder)


@contextlib.contextmanager
def ldap_member_of(folder: Path) -> Iterator[Database]:
    database = Ldap(shared(Slapd), folder / "secret", member_of="memberOf")
    yield database
    database.source.close()


@contextlib.contextmanager
def ldap_searched(folder: Path) -> Iterator[Database]:
    database = Ldap(
        shared(Slapd),
        folder / "secret",
        groups_base=slapd.GROUPS,
        groups_filter="(&(objectClass=groupOfNames)(member={dn}))",
    )
    yield database
    database.source.close()


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[Database]:
    database = SqlServer(shared(Postgres), folder / "secret")
    yield database
    database.source.close()


@contextlib.contextmanager
def mariadb(folder: Path) -> Iterator[Database]:
    database = SqlServer(shared(MariaDb), folder / "secret")
    yield database
    database.source.close()


@contextlib.contextmanager
def postgresql_lower(folder: Path) -> Iterator[Database]:
    database = SqlServer(shared(Postgres), folder / "secret", "lower({}) = :user", True)
    yield database
    database.source.close()


@contextlib.contextmanager
def mariadb_without_case(folder: Path) -> Iterator[Database]:
    equals = "{} = :user COLLATE utf8mb4_general_ci"
    database = SqlServer(shared(MariaDb), folder / "secret", equals, True)
    yield database
    database.source.close()


@contextlib.contextmanager
def sqlite_without_case(folder: Path) -> Iterator[Database]:
    database = Sqlite(folder, "{} = :user COLLATE NOCASE", True)
    yield database
    database.source.close()


@contextlib.contextmanager
def sqlite(folder: Path) -> Iterator[Database]:
    database = Sqlite(folder)
    yield database
    database.source.close()


# Each is given an empty folder. What is slow to start may be shared: `put` takes away what was there.
DATABASES: dict[str, Callable[[Path], AbstractContextManager[Database]]] = {
    "file": passwd,
    "postfix-table": postfix_table,
    "nss": nss,
    "nss-debian": nss_of_debian,
    "shadow": shadow,
    "shadow-debian": shadow_of_debian,
    "sasldb": sasldb,
    "ldap-memberof": ldap_member_of,
    "ldap-search": ldap_searched,
    "postgresql": postgresql,
    "postgresql-lower": postgresql_lower,
    "mariadb": mariadb,
    "mariadb-ci": mariadb_without_case,
    "sqlite": sqlite,
    "sqlite-nocase": sqlite_without_case,
}


Server = TypeVar("Server", bound=DatabaseServer)
_shared: dict[type[DatabaseServer], DatabaseServer] = {}


def shared(kind: type[Server]) -> Server:
    """The one server of its kind, from the first test that needs it until the last test is done."""
    if kind not in _shared:
        _shared[kind] = kind().__enter__()
    server = _shared[kind]
    assert isinstance(server, kind)
    return server


def stop_shared() -> None:
    while _shared:
        _shared.popitem()[1].__exit__(None, None, None)


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
