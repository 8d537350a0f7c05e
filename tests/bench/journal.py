"""Each query of a process at a journal of three years: 5,000,000 rows of `given` and of `hours`, against 50,000.

The hours are those of an earlier version that never added them up, which is the worst that a journal can have. Each
query is timed on SQLite and on PostgreSQL, in turn on both sizes, and must be answered by an index: the plan is asked
for, and must not read a whole table.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import re
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from autocreate.service.journal import Entry, Journal
from autocreate.service.journal_hours import DAY, HOUR, last_day_to_fold
from autocreate.service.journal_tables import (
    ENTRY_OF,
    FINISH,
    FORGET_CREATION,
    HOURS,
    IS_CREATED,
    TAKE_BACK,
)
from autocreate.statistics.tally import Tally
from tests.bench.contest import Effort, Result, in_turn
from tests.servers.postgres import Postgres

MANY, FEW = 5_000_000, 50_000
DAYS = 3 * 365
NOW = 20_000 * DAY + 5 * HOUR
THINGS = 5
# No query may take more than twice as long at a hundred times as many rows.
TARGET = 0.5

TALLY = Tally().as_text()

Fill = Callable[[str, Iterator[tuple[Any, ...]]], None]


@dataclass
class Site:
    """A journal of so many rows in each of the two tables."""

    journal: Journal
    rows: int

    @property
    def processes(self) -> int:
        return math.ceil(self.rows / (DAYS * 24))

    @property
    def users(self) -> int:
        return self.rows // THINGS

    @property
    def engine(self) -> sa.Engine:
        return self.journal._database._engine


def run(effort: Effort) -> list[Result]:
    """Measures SQLite and PostgreSQL."""
    sizes = {"many": effort.of(MANY), "few": effort.of(FEW)}
    with tempfile.TemporaryDirectory(prefix="autocreate-bench-") as folder:
        results = _measured("SQLite", _sqlite(Path(folder), sizes), effort)
    with Postgres() as postgres:
        results += _measured("PostgreSQL", _postgresql(postgres, sizes), effort)
    return results


def _measured(name: str, sites: dict[str, Site], effort: Effort) -> list[Result]:
    for size, site in sites.items():
        _prove(site)
        plans = _plans(site)
        assert all(plans.values()), f"{name}: no statement was seen for {plans}"
        for query, found in plans.items():
            scans = [it for it in found if _reads_all(it)]
            assert not scans, f"{name}, {size}, {query}: {scans}"
    results = []
    for query, (times, unit, work) in QUERIES.items():
        contestants = {size: _timed(site, times, work) for size, site in sites.items()}
        values = in_turn(contestants, effort.rounds)
        what = f"{name}: {query}"
        results.append(
            Result(what, f"ms {unit}".strip(), values["many"], values["few"], True, TARGET)
        )
    for site in sites.values():
        site.journal.close()
    return results


# -- the queries -----------------------------------------------------------------------------

_NUMBERS = itertools.count()


def _deliver(site: Site) -> float:
    """What a first delivery writes."""
    user = f"new{next(_NUMBERS)}"
    site.journal.begin(Entry(user, user, next_try=NOW + 60.0))
    site.journal.finish(user, ["folder Sent", "folder Drafts", "folder Trash"])
    return 1


def _read_given(site: Site) -> float:
    user = next(_NUMBERS) * 7919 % site.users
    assert len(site.journal.given(f"user{user:07}")) == THINGS
    return 1


def _due(site: Site) -> float:
    """What a process asks every minute, and for each user who is not in its cache."""
    site.journal.due(float(NOW), 1000)
    site.journal.entry("nobody")
    return 1


def _count(site: Site) -> float:
    """What a process writes every minute."""
    update = HOURS.update().where(HOURS.c.hour == NOW // HOUR * HOUR, HOURS.c.writer == "mx0:1:aa")
    site.journal._database.write(lambda it: it.execute(update.values(tally=TALLY)))
    return 1


def _find_begin(site: Site) -> float:
    assert site.journal.tallies_begin() is not None
    return 1


def _decide(site: Site) -> float:
    """What a process asks every hour. It reads the hours of five weeks, or of five days if they are many."""
    latest = last_day_to_fold(site.journal._hours._latest_days(), NOW)
    assert latest is not None
    return 1


def _fold(site: Site) -> float:
    """A day becomes one row."""
    day = next(site.journal._hours._days_until(NOW))
    assert site.journal._hours._fold_day(day)
    site.journal._hours._forget_first_days(day)
    return 24 * site.processes / 1000


def _report(site: Site) -> float:
    count = sum(1 for _ in site.journal.tallies(NOW - 2 * DAY))
    assert count >= 2 * 24 * site.processes
    return count / 1000


# How often each is done in one measurement, and what is counted.
QUERIES: dict[str, tuple[int, str, Callable[[Site], float]]] = {
    "first delivery": (50, "", _deliver),
    "what a user was given": (200, "", _read_given),
    "unfinished trees that are due": (200, "", _due),
    "statistics of a minute": (50, "", _count),
    "since when there are statistics": (200, "", _find_begin),
    "which hours become days": (5, "", _decide),
    "hours that become a day": (3, "per 1000 hours of processes", _fold),
    "report over two days": (3, "per 1000 hours of processes", _report),
}


def _timed(site: Site, times: int, work: Callable[[Site], float]) -> Callable[[], float]:
    clock = _clock(site)

    def measure() -> float:
        begun = clock()
        units = sum(work(site) for _ in range(times))
        return (clock() - begun) * 1000 / units

    return measure


def _clock(site: Site) -> Callable[[], float]:
    """Processor time in seconds: of this process, in which SQLite works, and of the server's for our connection."""
    if site.engine.dialect.name == "sqlite":
        return time.process_time
    with site.engine.begin() as connection:
        server = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    spent = Path(f"/proc/{server}/schedstat")  # nanoseconds on a processor, first
    return lambda: time.process_time() + int(spent.read_text().split()[0]) / 1e9


# -- proof -----------------------------------------------------------------------------------


def _prove(site: Site) -> None:
    """The journal has the rows that it is said to have."""
    for table in ("given", "hours"):
        with site.engine.begin() as connection:
            count = connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()
        assert count == site.rows, f"{count} rows in {table}, not {site.rows}"


def _plans(site: Site) -> dict[str, list[str]]:
    """How the database carries out each statement of each query."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    plans: dict[str, list[str]] = {}
    sa.event.listen(site.engine, "before_cursor_execute", note)
    try:
        for query, (_, _, work) in {**QUERIES, "each new user": (0, "", _statements)}.items():
            seen.clear()
            work(site)
            plans[query] = [line for it in list(seen) for line in _explained(site, *it)]
    finally:
        sa.event.remove(site.engine, "before_cursor_execute", note)
    del plans["first delivery"]  # is not seen: its statements skip SQLAlchemy
    return plans


def _statements(site: Site) -> float:
    """Those of a first delivery, by SQLAlchemy."""
    whose = {"whose": "user0000001"}
    with site.engine.begin() as connection:
        for statement in (ENTRY_OF, FINISH, IS_CREATED, FORGET_CREATION):
            connection.execute(statement, whose)
        connection.execute(TAKE_BACK, {**whose, "things": ["folder none"]})
    return 1


def _explained(site: Site, statement: str, parameters: Any) -> list[str]:
    if not re.match(r"\s*(SELECT|UPDATE|DELETE)", statement):
        return []
    is_sqlite = site.engine.dialect.name == "sqlite"
    with site.engine.connect() as connection:
        cursor = connection.connection.cursor()
        many = (
            isinstance(parameters, list) and parameters and isinstance(parameters[0], tuple | dict)
        )
        cursor.execute(
            ("EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN ") + statement,
            parameters[0] if many else parameters,
        )
        return [str(row[-1]) for row in cursor.fetchall()]


def _reads_all(line: str) -> bool:
    """Is the whole of a table read, or sorted? An index that is read in order until the limit is neither."""
    is_scan = re.search(r"Seq Scan on (given|hours)|^SCAN (given|hours)(?! USING)", line)
    return bool(is_scan or "TEMP B-TREE" in line)


# -- the journals ----------------------------------------------------------------------------


def _given(rows: int) -> Iterator[tuple[Any, ...]]:
    for number in range(rows):
        user, thing = divmod(number, THINGS)
        yield f"user{user:07}", f"folder {thing}"


def _hours(rows: int) -> Iterator[tuple[Any, ...]]:
    """Three years until now, of so many processes as make up the rows."""
    processes = math.ceil(rows / (DAYS * 24))
    hours = math.ceil(rows / processes)
    for number in range(rows):
        hour, process = divmod(number, processes)
        begins = (NOW // HOUR - hours + 1 + hour) * HOUR
        yield begins, f"mx{process}:1:aa", TALLY


def _sqlite(folder: Path, sizes: dict[str, int]) -> dict[str, Site]:
    def make(size: str, rows: int) -> Site:
        path = folder / f"{size}.db"
        journal = Journal(f"sqlite:///{path}", lambda: float(NOW))
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("PRAGMA synchronous=OFF")
            database.executemany("INSERT INTO given VALUES (?, ?)", _given(rows))
            database.executemany("INSERT INTO hours VALUES (?, ?, ?)", _hours(rows))
        return Site(journal, rows)

    return {size: make(size, rows) for size, rows in sizes.items()}


def _postgresql(postgres: Postgres, sizes: dict[str, int]) -> dict[str, Site]:
    def make(size: str, rows: int) -> Site:
        postgres.execute(f"CREATE DATABASE {size} OWNER {postgres.user}")
        url = make_url(postgres.url).set(password=postgres.password, database=size)
        journal = Journal(url.render_as_string(hide_password=False), lambda: float(NOW))
        place = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(place, autocommit=True) as connection:
            _load(connection, "given", _given(rows))
            _load(connection, "hours", _hours(rows))
            connection.execute("VACUUM ANALYZE")
        return Site(journal, rows)

    return {size: make(size, rows) for size, rows in sizes.items()}


def _load(connection: psycopg.Connection[Any], table: str, rows: Iterator[tuple[Any, ...]]) -> None:
    with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
        text = io.StringIO()
        for number, row in enumerate(rows):
            text.write("\t".join(map(str, row)) + "\n")
            if number % 10_000 == 0:
                copy.write(text.getvalue())
                text = io.StringIO()
        copy.write(text.getvalue())
