"""One look-up in each kind of account source, among 20,000 accounts, over an open connection.

Each is set against the same question to SQLite, the embedded default. `root` and an unknown user of the machine that
measures stand for NSS and shadow(5), whose cost hangs on what nsswitch.conf(5) names.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from autocreate.accounts import AccountSource
from autocreate.accounts.cached import CachedSource, Limits
from autocreate.accounts.file import FileSource
from autocreate.accounts.sasldb import SasldbSource
from autocreate.core.naming import CYRUS_DEFAULTS
from tests.bench.contest import Effort, Result, in_turn
from tests.configured import account_source
from tests.servers.berkeley import sasldb_key, write_hash
from tests.servers.common import fresh_folder
from tests.servers.mariadb import MariaDb
from tests.servers.postgres import Postgres
from tests.servers.slapd import PEOPLE, Slapd

USERS = [f"user{number:05}" for number in range(20_000)]
KNOWN = USERS[::40]
UNKNOWN = [f"nobody{number:05}" for number in range(len(KNOWN))]
_BASE = "sql, SQLite"
QUERY = "SELECT userid FROM accounts WHERE userid = :user"


def run(effort: Effort) -> list[Result]:
    """Measures a yes and a no of each."""
    with contextlib.ExitStack() as held:
        folder = held.enter_context(fresh_folder("bench-accounts"))
        sources = {**_files(folder), **_servers(held, folder)}
        for source in sources.values():
            held.callback(source.close)
        remembered = CachedSource(sources["file"], Limits(3600, 3600, 3600, len(USERS)))
        results = []
        for answer in ("yes", "no"):
            contestants = {
                name: _microseconds(source, _users(name, answer), answer == "yes")
                for name, source in (*sources.items(), ("remembered", remembered))
            }
            values = in_turn(contestants, effort.rounds)
            results += [
                Result(f"{name}: {answer}", "µs", values[name], values[_BASE], True)
                for name in contestants
                if name != _BASE
            ]
        return results


def _users(name: str, answer: str) -> Sequence[str]:
    if name in ("nss", "shadow") and answer == "yes":
        return ["root"] * len(KNOWN)
    return KNOWN if answer == "yes" else UNKNOWN


def _microseconds(
    source: AccountSource, users: Sequence[str], is_there: bool
) -> Callable[[], float]:
    def measure() -> float:
        begun = time.perf_counter()
        for user in users:
            if (source.lookup(user) is not None) is not is_there:
                raise AssertionError(f"{source.name} is wrong about {user}")
        return (time.perf_counter() - begun) / len(users) * 1e6

    return measure


def _files(folder: Path) -> dict[str, AccountSource]:
    users, sasldb = folder / "users", folder / "sasldb2"
    users.write_text("".join(f"{user}\n" for user in USERS))
    write_hash(sasldb, ((sasldb_key(user, "example.org"), b"geheim") for user in USERS))

    def later() -> float:
        return time.time() + 3600

    return {
        "file": FileSource(
            "file", CYRUS_DEFAULTS, path=users, groups=None, format="lines", domains=(), clock=later
        ),
        "nss": account_source("nss", min_uid=0),
        "shadow": account_source("shadow", min_uid=0),
        "sasldb": SasldbSource(
            "sasldb", CYRUS_DEFAULTS, path=sasldb, realm="example.org", clock=later
        ),
    }


def _servers(held: contextlib.ExitStack, folder: Path) -> dict[str, AccountSource]:
    slapd = held.enter_context(Slapd())
    postgres = held.enter_context(Postgres())
    mariadb = held.enter_context(MariaDb())
    for server, password in (
        (slapd, slapd.reader_password),
        (postgres, postgres.password),
        (mariadb, mariadb.password),
    ):
        server.load(USERS)
        (folder / server.name).write_text(password + "\n")
    sqlite = folder / "accounts.db"
    _fill_sqlite(sqlite)

    def ldap(**settings: Any) -> AccountSource:
        options: dict[str, Any] = {
            "urls": [slapd.url],
            "ca_file": slapd.certificate.ca_file,
            "bind_dn": slapd.reader,
            "password_file": folder / "slapd",
            "base": PEOPLE,
            **settings,
        }
        return account_source("ldap", **options)

    def sql(**settings: Any) -> AccountSource:
        return account_source("sql", query=QUERY, **settings)

    return {
        _BASE: sql(url=f"sqlite:///{sqlite}"),
        "sql, PostgreSQL": sql(url=postgres.url, password_file=folder / "postgres"),
        "sql, MariaDB": sql(url=mariadb.url, password_file=folder / "mariadb"),
        "ldap, in clear": ldap(tls="none"),
        "ldap, StartTLS": ldap(),
        "ldap, Unix socket": ldap(urls=[slapd.ldapi_url]),
    }


def _fill_sqlite(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE accounts (userid TEXT PRIMARY KEY)")
        connection.executemany("INSERT INTO accounts VALUES (?)", [(user,) for user in USERS])
