"""Look-ups in account sources of 100,000 users, by `Service.verify`, against the bare driver with the same query.

Everybody's mailbox exists, in memory, so that what is measured is the way to the account and no mail store. There is no
front end, so nothing is logged. Cold, each user is asked about for the first time; warm, for the second. Both sides
keep their connections and open Berkeley DB files anew for each look-up, as a source must that is to see today's file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import ldap
import psycopg
import pymysql
from berkeleydb import db

from autocreate.accounts import AccountSource
from autocreate.accounts.cached import CachedSource, Limits
from autocreate.model import Answer, Recipient
from autocreate.service.service import Service
from autocreate.tree.values import Tree
from tests.bench.contest import Contestant, Effort, Result, in_turn
from tests.configured import account_source
from tests.servers.berkeley import sasldb_key, write_hash
from tests.servers.common import fresh_folder, secret_file
from tests.servers.mariadb import MariaDb
from tests.servers.postgres import Postgres
from tests.servers.slapd import PEOPLE, Slapd
from tests.unit.house import House

TARGET = 0.7
ACCOUNTS = 100_000
LOOKUPS = 500  # a measurement
THREADS = (1, 16)

USERS = [f"user{number:06}" for number in range(ACCOUNTS)]
QUERY = "SELECT userid FROM accounts WHERE userid = "

# Is there such a user?
Ask = Callable[[str], bool]


def run(effort: Effort) -> list[Result]:
    """Measures one source after the other, each against its driver."""
    results = []
    with fresh_folder("verify") as folder:
        for name, open_both in SOURCES.items():
            with open_both(folder) as (source, ask), service(folder, source) as asked:
                results += _measured(name, asked, ask, effort)
    return results


def _measured(name: str, asked: Service, ask: Ask, effort: Effort) -> list[Result]:
    fresh = iter(USERS)  # nobody is asked about twice by us but for the warm contest
    lookups = effort.of(LOOKUPS, max(THREADS))
    known = list(islice(fresh, lookups))

    def verified(user: str, is_cold: bool) -> bool:
        """Is it accepted, and was its source asked if and only if it is cold?"""
        verdict = asked.verify(Recipient(f"{user}@example.org", mailer="lmtp"))
        return verdict.answer is Answer.ACCEPT and bool(verdict.asked) is is_cold

    cold, warm = partial(verified, is_cold=True), partial(verified, is_cold=False)
    assert all(map(cold, known))

    def unheard_of() -> list[str]:
        return list(islice(fresh, lookups))

    results = []
    for threads in THREADS:
        with ThreadPoolExecutor(threads) as executor:
            _connect_all(executor, threads, ask)
            contestants: dict[str, Contestant] = {
                "cold": partial(_rate, cold, unheard_of, executor, threads),
                "warm": partial(_rate, warm, lambda: known, executor, threads),
                "bare": partial(_rate, ask, lambda: known, executor, threads),
            }
            values = in_turn(contestants, effort.rounds)
        case = f"{name}, {threads} thread(s)"
        results += [
            Result(f"{case}, cold", "look-ups/s", values["cold"], values["bare"], target=TARGET),
            Result(f"{case}, warm", "look-ups/s", values["warm"], values["bare"]),
        ]
    return results


def _connect_all(executor: ThreadPoolExecutor, threads: int, ask: Ask) -> None:
    """Each thread has asked its driver once, so that no connection is made while it is measured."""
    together = threading.Barrier(threads)

    def first(user: str) -> bool:
        together.wait()
        return ask(user)

    assert all(executor.map(first, USERS[:threads]))


def _rate(
    ask: Ask, choose: Callable[[], list[str]], executor: ThreadPoolExecutor, threads: int
) -> float:
    users = choose()
    parts = [users[start::threads] for start in range(threads)]
    begun = time.perf_counter()
    assert all(executor.map(lambda part: all(map(ask, part)), parts))
    return len(users) / (time.perf_counter() - begun)


@contextlib.contextmanager
def service(folder: Path, source: AccountSource) -> Iterator[Service]:
    """The use cases in front of an account source, without a mail store and without a log."""
    cached = CachedSource(source, Limits(60.0, 10.0, 2.0, 10_000))
    house = House(folder, (), source=cached, workers=32, cache_size=10_000)
    house.store.trees = dict.fromkeys(USERS, Tree())
    with contextlib.closing(house.service):
        yield house.service


Both = tuple[AccountSource, Ask]


@contextlib.contextmanager
def _file(folder: Path) -> Iterator[Both]:
    path = folder / "users"
    path.write_text("".join(f"{user}\n" for user in USERS))
    os.utime(path, (time.time() - 60,) * 2)  # settled: a young file's no is a doubt
    names = frozenset(path.read_text().split())
    yield account_source("file", path=path), lambda user: path.stat() is not None and user in names


@contextlib.contextmanager
def _sqlite(folder: Path) -> Iterator[Both]:
    path = folder / "accounts.db"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE accounts (userid TEXT PRIMARY KEY)")
        database.executemany("INSERT INTO accounts VALUES (?)", [(user,) for user in USERS])

    held = threading.local()

    def ask(user: str) -> bool:
        if not hasattr(held, "database"):
            held.database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        return bool(held.database.execute(f"{QUERY}?", (user,)).fetchall())

    yield account_source("sql", url=f"sqlite:///{path}", query=f"{QUERY}:user"), ask


@contextlib.contextmanager
def _sasldb(folder: Path) -> Iterator[Both]:
    path = folder / "sasldb2"
    write_hash(path, ((sasldb_key(user, "cyrus.test"), b"x") for user in USERS))

    def ask(user: str) -> bool:
        opened = db.DB()
        opened.open(str(path), dbtype=db.DB_UNKNOWN, flags=db.DB_RDONLY)
        try:
            return bool(opened.exists(sasldb_key(user, "cyrus.test")))
        finally:
            opened.close()

    yield account_source("sasldb", path=path, realm="cyrus.test"), ask


@contextlib.contextmanager
def _postgresql(folder: Path) -> Iterator[Both]:
    with Postgres() as server:
        server.load(USERS)
        local = threading.local()

        def ask(user: str) -> bool:
            if not hasattr(local, "connection"):
                local.connection = psycopg.connect(
                    host=server.host,
                    port=server.port,
                    user=server.user,
                    password=server.password,
                    dbname="mail",
                    autocommit=True,
                    prepare_threshold=None,
                )
            return bool(local.connection.execute(f"{QUERY}%s", (user,)).fetchall())

        secret = secret_file(folder, server.password)
        source = account_source("sql", url=server.url, query=f"{QUERY}:user", password_file=secret)
        yield source, ask


@contextlib.contextmanager
def _mariadb(folder: Path) -> Iterator[Both]:
    with MariaDb() as server:
        server.load(USERS)
        local = threading.local()

        def ask(user: str) -> bool:
            if not hasattr(local, "connection"):
                local.connection = pymysql.connect(
                    host=server.host,
                    port=server.port,
                    user=server.user,
                    password=server.password,
                    database="mail",
                    autocommit=True,
                )
            with local.connection.cursor() as cursor:
                return bool(cursor.execute(f"{QUERY}%s", (user,)))

        secret = secret_file(folder, server.password)
        source = account_source("sql", url=server.url, query=f"{QUERY}:user", password_file=secret)
        yield source, ask


@contextlib.contextmanager
def _ldap(folder: Path) -> Iterator[Both]:
    with Slapd() as server:
        server.load(USERS)
        local = threading.local()

        def ask(user: str) -> bool:
            if not hasattr(local, "connection"):
                local.connection = ldap.initialize(server.url)
                local.connection.simple_bind_s(server.reader, server.reader_password)
            found = local.connection.search_s(PEOPLE, ldap.SCOPE_SUBTREE, f"(uid={user})", ["uid"])
            return bool(found)

        source = account_source(
            "ldap",
            urls=[server.url],
            base=PEOPLE,
            tls="none",
            bind_dn=server.reader,
            password_file=secret_file(folder, server.reader_password),
        )
        yield source, ask


SOURCES: dict[str, Callable[[Path], contextlib.AbstractContextManager[Both]]] = {
    "file": _file,
    "SQLite": _sqlite,
    "sasldb": _sasldb,
    "PostgreSQL": _postgresql,
    "MariaDB": _mariadb,
    "LDAP": _ldap,
}
