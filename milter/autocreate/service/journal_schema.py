"""The versions of the journal's tables: which one a database has, and the steps to the present one.

A program and a journal each have a version. The steps only add, so a program goes on working at a newer journal, and
MTAs are upgraded one by one. A step after which older programs must stop says so (`Step.oldest`); it is taken by
`autocreate journal upgrade` only, and must remove or rename what these programs write, so that they notice at once.
See docs/decisions/0080.
"""

import itertools
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.schema import CreateColumn

from autocreate.backends.sql_transactions import begin_writing
from autocreate.errors import Temporary
from autocreate.service.journal_tables import (
    CREATIONS,
    GIVEN,
    HOOKS,
    HOURS,
    METADATA,
    SCHEMA_VERSION,
    SEEN,
    UNFINISHED,
    WATCH,
)


class Step(NamedTuple):
    """What a version of the journal adds to the one before. Taking a step twice does no harm.

    Args:
        adds: in words.
        tables: new ones.
        columns: new ones of a table that exists. They have a default, for rows and programs that are older.
        oldest: the oldest version of a program that can use the journal afterwards.
    """

    version: int
    adds: str
    tables: tuple[sa.Table, ...] = ()
    columns: tuple[sa.Column[Any], ...] = ()
    oldest: int = 1


STEPS = (
    Step(1, "unfinished trees, and what dry run saw", (UNFINISHED, SEEN)),
    Step(2, "logins", columns=(UNFINISHED.c.service, UNFINISHED.c.begun)),
    Step(3, "what users were given", (GIVEN,)),
    Step(4, "statistics", (HOURS,)),
    Step(5, "welcome messages and hooks", (CREATIONS, HOOKS)),
    Step(6, "the watch", (WATCH,)),
    Step(7, "the version of the journal", (SCHEMA_VERSION,)),
)
# Of this program: the version that it upgrades a journal to.
VERSION = STEPS[-1].version
# The oldest version that this program can work with, where it may not upgrade.
OLDEST_USABLE = 6

# Names the lock of an upgrade at a server: "autocreate" in ASCII, as far as it fits.
_LOCK = 0x6175746F63726561


class Unusable(Temporary):
    """The journal has a version that this program cannot use.

    Args:
        remedy: what the administrator can do.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy


class Schema(NamedTuple):
    """What a database has.

    Args:
        version: 0 if it has no tables of a journal.
        oldest: the oldest version of a program that can use it.
        missing: tables that this version should have.
        since: when it got this version, in seconds since the epoch; None before version 7.
    """

    version: int
    oldest: int = 1
    missing: tuple[str, ...] = ()
    since: float | None = None

    @property
    def is_complete(self) -> bool:
        """Is there nothing to upgrade?"""
        return self.version >= VERSION and not self.missing

    @property
    def difference(self) -> str:
        """How it differs from what this program expects, in words; "" if it does not."""
        if self.version > VERSION:
            use = "cannot use it" if self.oldest > VERSION else "can use it"
            return f"version {self.version} is newer than version {VERSION} of this program, which {use}"
        if 0 < self.version < VERSION:
            return f"version {self.version} is older than version {VERSION} of this program"
        return ""

    def require_usable(self) -> None:
        """Raise `Unusable` if this program must not use it."""
        if self.version > VERSION and self.oldest > VERSION:
            raise Unusable(
                f"its {self.difference}",
                "install the version of autocreate that the other MTAs have",
            )


def found(connection: sa.Connection) -> Schema:
    """The version of a database. Changes nothing.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: it cannot be read.
    """
    there = sa.inspect(connection)
    tables = {name for name in METADATA.tables if there.has_table(name)}
    last = sa.select(SCHEMA_VERSION).order_by(SCHEMA_VERSION.c.version.desc()).limit(1)
    if SCHEMA_VERSION.name in tables and (row := connection.execute(last).first()):
        wanted = (it.name for it in _tables_of(row.version))
        return Schema(
            row.version, row.oldest, tuple(it for it in wanted if it not in tables), row.since
        )
    version = 0
    for step in STEPS[:-1]:
        is_there = all(table.name in tables for table in step.tables)
        if not is_there or not all(_has(there, column) for column in step.columns):
            break
        version = step.version
    return Schema(version)


def steps_from(schema: Schema, automatic: bool = False) -> list[Step]:
    """The steps that an upgrade takes.

    Args:
        automatic: without those after which the programs that use it now would have to stop.
    """
    # Where a table was dropped, all of them: what is there stays as it is.
    steps = [step for step in STEPS if schema.missing or step.version > schema.version]
    if automatic and schema.version:
        return list(itertools.takewhile(lambda step: step.oldest <= schema.version, steps))
    return steps


def upgrade(connection: sa.Connection, automatic: bool = False, timeout: float = 2.0) -> list[Step]:
    """Take the steps to the present version, or create the tables. Another process may be doing the same.

    Args:
        connection: in a transaction that has done nothing yet.
        automatic: as for `steps_from`.
        timeout: seconds to wait for SQLite's lock.

    Raises:
        Unusable: the journal is newer than this program can use.
        sqlalchemy.exc.SQLAlchemyError: the database cannot be changed.
    """
    kind = connection.dialect.name
    begin_writing(connection, timeout)
    if kind in _LOCK_OF:  # else two that upgrade at once try again
        connection.exec_driver_sql(_LOCK_OF[kind])
    try:
        schema = found(connection)
        schema.require_usable()
        steps = steps_from(schema, automatic)
        for step in steps:
            _take(connection, step)
        if steps:
            _note(connection, max(schema.version, steps[-1].version))
        return steps
    finally:
        if kind in _UNLOCK:
            connection.exec_driver_sql(_UNLOCK[kind])


def dropped(connection: sa.Connection, version: int) -> list[str]:
    """The tables of a version that are missing."""
    there = sa.inspect(connection)
    wanted = {it.name for it in _tables_of(version)}
    return [it for it in METADATA.tables if it in wanted and not there.has_table(it)]


# SQLite and PostgreSQL end the lock with the transaction. MySQL's is the session's, and names are the server's.
_LOCK_OF = {
    "postgresql": f"SELECT pg_advisory_xact_lock({_LOCK})",
    "mysql": f"SELECT GET_LOCK('{_LOCK:x}', 2)",
    "mariadb": f"SELECT GET_LOCK('{_LOCK:x}', 2)",
}
_UNLOCK = dict.fromkeys(("mysql", "mariadb"), f"SELECT RELEASE_LOCK('{_LOCK:x}')")


def _take(connection: sa.Connection, step: Step) -> None:
    for table in step.tables:
        table.create(connection, checkfirst=True)
    for column in step.columns:
        if not _has(sa.inspect(connection), column):
            table_name = connection.dialect.identifier_preparer.quote(column.table.name)
            described = CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {table_name} ADD COLUMN {described}")


def _note(connection: sa.Connection, version: int) -> None:
    """Note a version, unless an automatic upgrade ended before there is a table for it."""
    if not sa.inspect(connection).has_table(SCHEMA_VERSION.name):
        return
    same = sa.select(SCHEMA_VERSION.c.version).where(SCHEMA_VERSION.c.version == version)
    if connection.execute(same).first() is None:
        oldest = max(step.oldest for step in STEPS if step.version <= version)
        row = {"version": version, "oldest": oldest, "since": time.time()}
        connection.execute(SCHEMA_VERSION.insert().values(row))


def _has(there: sa.Inspector, column: sa.Column[Any]) -> bool:
    return column.name in (it["name"] for it in there.get_columns(column.table.name))


def _tables_of(version: int) -> Iterator[sa.Table]:
    for step in STEPS:
        if step.version <= version:
            yield from step.tables
