"""`audit` of many accounts, most of them without a mailbox: how many a second, and in how much memory.

Each finding is written to a file, and counted afterwards. The accounts are stored in no order. The mail store is a
Cyrus with a few mailboxes: LIST of a million is its work, and not measured here.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.contest import Effort, Result
from tests.bench.maps import ldap_settings
from tests.servers.common import fresh_folder, secret_file
from tests.servers.cyrus import Cyrus
from tests.servers.mariadb import MariaDb
from tests.servers.postgres import Postgres
from tests.servers.product import COMMAND, Product
from tests.servers.slapd import Slapd

MAILBOXES = 10
MEMORY_TARGET = 0.9  # of what a tenth of the accounts needs

# The groups can decide nothing that matters here: whoever is in none has a mailbox all the same.
POLICIES: list[dict[str, Any]] = [
    {"name": "staff", "groups": ["staff"], "quota": "9G"},
    {"name": "everyone", "quota": "2G"},
]

# Fills a database with so many accounts.
Fill = Callable[[int], None]


class Source(NamedTuple):
    """An account source: what [accounts.staff] has, and how it is filled."""

    settings: dict[str, Any]
    fill: Fill


class Case(NamedTuple):
    """What to measure.

    Args:
        opened: starts the source; is given an empty folder.
        accounts: how many.
        seconds: the time to beat; None measures memory alone.
    """

    opened: Callable[[Path], contextlib.AbstractContextManager[Source]]
    accounts: int
    seconds: float | None = None


def run(effort: Effort) -> list[Result]:
    """Measures one source after the other, once: with a tenth of its accounts, and with all of them."""
    results: list[Result] = []
    with Cyrus() as cyrus, Product(cyrus, policies=POLICIES) as product:
        for number in range(MAILBOXES):
            cyrus.create(f"user/{_user(number)}")
        for name, case in CASES.items():
            with fresh_folder("audit") as folder, case.opened(folder) as source:
                product.configure({"accounts": {"staff": source.settings}})
                results += _measured(name, case, source.fill, product, effort)
    return results


def _measured(
    name: str, case: Case, fill: Fill, product: Product, effort: Effort
) -> Iterator[Result]:
    many = effort.of(case.accounts)
    few = many // 10
    fill(few)
    least = _audited(product, few).memory
    fill(many)
    found = _audited(product, many)
    if case.seconds:
        least_rate = case.accounts / case.seconds
        yield Result(
            f"{many:,} accounts in {name}, to {case.accounts:,} in {case.seconds:g} s",
            "accounts/s",
            [many / found.seconds],
            [least_rate],
            target=1.0,
        )
    yield Result(
        f"memory for {many:,} accounts in {name}, to {few:,}",
        "MiB",
        [found.memory],
        [least],
        less_is_better=True,
        target=MEMORY_TARGET,
    )


class Audited(NamedTuple):
    """What an audit took: seconds, and MiB at most."""

    seconds: float
    memory: float


def _audited(product: Product, accounts: int) -> Audited:
    """Audits, and makes sure that it found every account and every mailbox."""
    output = product.folder / "findings"
    with output.open("wb") as stream:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [COMMAND, "audit", "--config", product.config_file], stdout=stream
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 1, process.returncode
    missing = accounts - MAILBOXES
    with output.open() as lines:
        *_, last = (line for line in lines if not line.startswith("no-mailbox "))
    with output.open() as lines:
        assert sum(1 for _ in lines) == missing + 1
    assert last == f"{accounts:,} accounts, {MAILBOXES:,} mailboxes: {missing:,} findings\n", last
    return Audited(seconds, usage.ru_maxrss / 1024)


def _user(number: int) -> str:
    return f"user{number:07}"


def _shuffled(accounts: int) -> Iterator[str]:
    """Each user once, in no order that a database could use."""
    step = 7919  # a prime number that divides no number of accounts here
    return (_user(number * step % accounts) for number in range(accounts))


@contextlib.contextmanager
def _sqlite(folder: Path) -> Iterator[Source]:
    path = folder / "accounts.db"

    def fill(accounts: int) -> None:
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("DROP TABLE IF EXISTS accounts")
            database.execute("CREATE TABLE accounts (userid TEXT PRIMARY KEY)")
            rows = ((user,) for user in _shuffled(accounts))
            database.executemany("INSERT INTO accounts VALUES (?)", rows)

    yield Source(_sql(f"sqlite:///{path}"), fill)


@contextlib.contextmanager
def _postgresql(folder: Path) -> Iterator[Source]:
    with Postgres() as server:
        names = (
            "SELECT 'user' || lpad(it::text, 7, '0')"
            " FROM generate_series(0, {last}) it ORDER BY random()"
        )
        yield _on_server(server, folder, "TRUNCATE accounts", names)


@contextlib.contextmanager
def _mariadb(folder: Path) -> Iterator[Source]:
    with MariaDb() as server:
        names = "SELECT concat('user', lpad(seq, 7, '0')) FROM seq_0_to_{last} ORDER BY rand()"
        yield _on_server(server, folder, "DELETE FROM accounts", names)


@contextlib.contextmanager
def _ldap(folder: Path) -> Iterator[Source]:
    with Slapd() as server:
        settings = ldap_settings(server, folder)
        yield Source(settings, lambda accounts: server.load(list(_shuffled(accounts))))


CASES = {
    "SQLite": Case(_sqlite, 1_000_000, seconds=30.0),
    "PostgreSQL": Case(_postgresql, 100_000, seconds=5.0),
    "MariaDB": Case(_mariadb, 50_000),
    "LDAP": Case(_ldap, 50_000),
}


def _on_server(server: Postgres | MariaDb, folder: Path, empty: str, names: str) -> Source:
    """Accounts that `names` selects, without order; `{last}` in it is the number of the last."""

    def fill(accounts: int) -> None:
        server.execute(empty)
        server.execute(f"INSERT INTO accounts (userid) {names.format(last=accounts - 1)}")

    password_file = secret_file(folder, server.password)
    return Source({**_sql(server.url), "password_file": password_file}, fill)


def _sql(url: str) -> dict[str, Any]:
    return {
        "type": "sql",
        "url": url,
        "query": "SELECT userid FROM accounts WHERE userid = :user",
        "list_query": "SELECT userid FROM accounts",
    }
