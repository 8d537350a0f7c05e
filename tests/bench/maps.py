"""Accounts in a file, SQLite, PostgreSQL and LDAP, as an account source of ours and as a map of Postfix's own."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.common import aged, secret_file
from tests.servers.common import run as command
from tests.servers.postgres import Postgres
from tests.servers.slapd import PEOPLE, Slapd

USERS = [f"user{number:06}" for number in range(20_000)]
QUERY = "SELECT userid FROM accounts WHERE userid = "


@dataclass(frozen=True)
class Source:
    """The same accounts for both: what ours has in [accounts.staff], and the map that Postfix has."""

    settings: dict[str, Any]
    map: str


@contextlib.contextmanager
def _file(folder: Path) -> Iterator[Source]:
    users, table = folder / "users", folder / "recipients"
    users.write_text("".join(f"{user}\n" for user in USERS))
    table.write_text("".join(f"{user}@example.org x\n" for user in USERS))
    (folder / "main.cf").write_text("compatibility_level = 3.6\n")
    command(["postmap", "-c", folder, f"hash:{table}"])
    aged(users)  # a file that has just been written may not be all there
    yield Source({"type": "file", "path": str(users)}, f"hash:{table}")


@contextlib.contextmanager
def _sqlite(folder: Path) -> Iterator[Source]:
    path = folder / "accounts.db"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE accounts (userid TEXT PRIMARY KEY)")
        database.executemany("INSERT INTO accounts VALUES (?)", [(user,) for user in USERS])
    table = _table(folder / "sqlite.cf", dbpath=path, query=f"{QUERY}'%u'")
    yield Source(_sql(f"sqlite:///{path}"), f"proxy:sqlite:{table}")


@contextlib.contextmanager
def _postgresql(folder: Path) -> Iterator[Source]:
    with Postgres() as server:
        server.load(USERS)
        # A line in its log for each question would be the greater part of its work.
        server.execute("ALTER DATABASE mail SET log_statement = 'none'")
        table = _table(
            folder / "pgsql.cf",
            hosts=f"inet:{server.host}:{server.port}",
            user=server.user,
            password=server.password,
            dbname="mail",
            query=f"{QUERY}'%u'",
        )
        settings = {**_sql(server.url), "password_file": secret_file(folder, server.password)}
        yield Source(settings, f"proxy:pgsql:{table}")


@contextlib.contextmanager
def _ldap(folder: Path) -> Iterator[Source]:
    with Slapd() as server:
        server.load(USERS)
        table = _table(
            folder / "ldap.cf",
            server_host=server.url,
            version=3,
            bind="yes",
            bind_dn=server.reader,
            bind_pw=server.reader_password,
            search_base=PEOPLE,
            query_filter="(uid=%u)",
            result_attribute="uid",
        )
        yield Source(ldap_settings(server, folder), f"proxy:ldap:{table}")


SOURCES: dict[str, Callable[[Path], contextlib.AbstractContextManager[Source]]] = {
    "file": _file,
    "SQLite": _sqlite,
    "PostgreSQL": _postgresql,
    "LDAP": _ldap,
}


def _sql(url: str) -> dict[str, Any]:
    return {"type": "sql", "url": url, "query": f"{QUERY}:user"}


def ldap_settings(server: Slapd, folder: Path) -> dict[str, Any]:
    """The section [accounts.NAME] of a server without TLS, as the maps ask it."""
    return {
        "type": "ldap",
        "urls": [server.url],
        "tls": "none",
        "base": PEOPLE,
        "bind_dn": server.reader,
        "password_file": secret_file(folder, server.reader_password),
    }


def _table(path: Path, **parameters: object) -> Path:
    """A file as of pgsql_table(5), sqlite_table(5) or ldap_table(5)."""
    path.write_text("".join(f"{name} = {value}\n" for name, value in parameters.items()))
    return path
