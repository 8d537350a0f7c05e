"""Copies a journal into another one, which may have rows already, while both may be in use.

Rows are read in pages and written in short transactions, so nobody waits long for either journal. What is there
already is merged, so that the same copy can be repeated, or taken up again after an interruption. Nothing is ever
deleted from the journal that is read. See docs/decisions/0081.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from autocreate.backends.sql_transactions import begin_writing
from autocreate.service.journal_database import is_conflict
from autocreate.service.journal_engine import Opened, in_use
from autocreate.service.journal_merge import merged_hours, merged_seen
from autocreate.service.journal_tables import (
    CREATIONS,
    GIVEN,
    HOOKS,
    HOURS,
    SEEN,
    UNFINISHED,
    WATCH,
)

Row = Mapping[str, Any]
# What becomes of a row that both journals have: None to keep the one that is there.
Merge = Callable[[Row, Row], Row | None]

_PAGE = 500  # rows at a time
_DAY = 24 * 3600
# Seconds for SQLite's lock, which a process that serves needs for some milliseconds at a time.
_TIMEOUT = 30.0
# How often a transaction is run again that met another one.
_ATTEMPTS = 10

# What is done for a new mailbox must not be done by two journals' processes.
ONCE = (CREATIONS, HOOKS)
# In this order: nothing refers to what comes later.
_TABLES = (GIVEN, SEEN, WATCH, HOURS, UNFINISHED, *ONCE)


@dataclass
class Copied:
    """What became of a table's rows.

    Args:
        rows: that were read.
        new, changed: that were written; all others were there already.
        rejected: that the other database cannot have, each with the reason.
        left: that were not copied, because a process uses one of the journals.
    """

    table: str
    rows: int = 0
    new: int = 0
    changed: int = 0
    left: int = 0
    rejected: list[str] = field(default_factory=list)


class JournalCopy:
    """Copies all tables. Both journals have the present version.

    Args:
        progress: is told the table and how many rows have been read, from time to time.
    """

    def __init__(
        self, source: Opened, target: Opened, progress: Callable[[str, int], None]
    ) -> None:
        self._source = source.engine
        self._target = _without_snapshots(target.engine)
        self._progress = progress

    def tables(self) -> Iterator[Copied]:
        """Copy one table after the other.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: one of the databases cannot be used.
        """
        for table in _TABLES:
            copied = Copied(table.name)
            if table is HOURS:
                self._copy_hours(copied)
            elif table in ONCE and (in_use(self._source) or in_use(self._target)):
                copied.left = copied.rows = self._count(table)
            else:
                self._copy_table(table, copied)
            yield copied

    def _count(self, table: sa.Table) -> int:
        with self._source.begin() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()

    # -- rows --------------------------------------------------------------------------------

    def _copy_table(self, table: sa.Table, copied: Copied) -> None:
        merge = merged_seen if table is SEEN else _keep
        for page in self._pages(table):
            copied.rows += len(page)
            rows = [row for row in page if not self._is_rejected(table, row, copied)]
            if table is WATCH:
                rows = [row for row in rows if not row["until"]]  # else it is a process's lease
            self._merge(table, rows, merge, copied)
            self._progress(table.name, copied.rows)

    def _pages(self, table: sa.Table) -> Iterator[Sequence[Row]]:
        """All rows, each once, by the first column of the key: a database need not compare more."""
        first, *_ = table.primary_key
        query = sa.select(table).order_by(*table.primary_key)
        last: Any = None
        known: set[tuple[Any, ...]] = set()
        size = _PAGE
        while True:
            beyond = query if last is None else query.where(first >= last)
            with self._source.begin() as connection:
                page = [row._asdict() for row in connection.execute(beyond.limit(size))]
            new = [row for row in page if _key(table, row) not in known]
            if new:
                yield new
            if len(page) < size:
                return
            if page[-1][first.name] == last:
                size *= 2  # all of them have the same
            last = page[-1][first.name]
            known = {_key(table, row) for row in page if row[first.name] == last}

    def _merge(self, table: sa.Table, rows: Sequence[Row], merge: Merge, copied: Copied) -> None:
        """Write rows in one transaction; in halves if the database rejects any, down to that one."""
        try:
            new, changed = self._write(lambda it: _merged(it, table, rows, merge))
        except DBAPIError as error:
            if error.connection_invalidated or isinstance(error, OperationalError):
                raise
            if len(rows) > 1:
                middle = len(rows) // 2
                self._merge(table, rows[:middle], merge, copied)
                self._merge(table, rows[middle:], merge, copied)
                return
            copied.rejected.append(f"{_named(table, rows[0])}: {' '.join(str(error.orig).split())}")
            return
        copied.new += new
        copied.changed += changed

    def _is_rejected(self, table: sa.Table, row: Row, copied: Copied) -> bool:
        problem = problem_of(table, row, self._target.dialect.name)
        if problem:
            copied.rejected.append(f"{_named(table, row)}: {problem}")
        return bool(problem)

    def _write(self, work: Callable[[sa.Connection], Any]) -> Any:
        """The result of a transaction, which is run again if another one was faster."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                with self._target.begin() as connection:
                    begin_writing(connection, _TIMEOUT)
                    return work(connection)
            except DBAPIError as error:
                if not left or not (isinstance(error, IntegrityError) or is_conflict(error)):
                    raise
        raise AssertionError("unreachable")

    # -- statistics --------------------------------------------------------------------------

    def _copy_hours(self, copied: Copied) -> None:
        day = self._next_day(-math.inf)
        while day is not None:
            theirs = self._hours_of(self._source, day)
            copied.rows += len(theirs)
            rows = {
                (row["hour"], row["writer"]): row["tally"]
                for row in theirs
                if not self._is_rejected(HOURS, row, copied)
            }
            new, changed = self._write(_day_merger(day, rows))
            copied.new += new
            copied.changed += changed
            self._progress(HOURS.name, copied.rows)
            day = self._next_day(day + _DAY)

    def _next_day(self, start: float) -> int | None:
        """The first day with rows."""
        query = sa.select(HOURS.c.hour).where(HOURS.c.hour < 2**53).order_by(HOURS.c.hour).limit(1)
        if start > -math.inf:
            query = query.where(HOURS.c.hour >= start)
        with self._source.begin() as connection:
            hour = connection.execute(query).scalar_one_or_none()
        return None if hour is None else int(hour // _DAY * _DAY)

    def _hours_of(self, engine: sa.Engine, day: int) -> list[Row]:
        with engine.begin() as connection:
            return [row._asdict() for row in connection.execute(_in_day(day))]


def _without_snapshots(engine: sa.Engine) -> sa.Engine:
    """The engine for transactions that see what others commit meanwhile, as PostgreSQL's do by default.

    From MariaDB 11.6.2 on, one that reads from a snapshot may not write what others have written since
    (`innodb_snapshot_isolation`): beside a busy milter a page would hardly ever be written.
    """
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="READ COMMITTED")


def _in_day(day: int) -> sa.Select[Any]:
    return sa.select(HOURS).where(HOURS.c.hour >= day, HOURS.c.hour < day + _DAY)


def _day_merger(
    day: int, theirs: Mapping[tuple[int, str], str]
) -> Callable[[sa.Connection], tuple[int, int]]:
    def merge(connection: sa.Connection) -> tuple[int, int]:
        ours = {(row.hour, row.writer): row.tally for row in connection.execute(_in_day(day))}
        merged = merged_hours(ours, theirs)
        if merged is None:
            return 0, 0
        replaced = [key for key, text in ours.items() if merged.get(key) != text]
        is_row = (HOURS.c.hour == sa.bindparam("at")) & (HOURS.c.writer == sa.bindparam("whose"))
        if replaced:
            keys = [{"at": hour, "whose": writer} for hour, writer in replaced]
            connection.execute(HOURS.delete().where(is_row), keys)
        written = [
            {"hour": hour, "writer": writer, "tally": text}
            for (hour, writer), text in merged.items()
            if ours.get((hour, writer)) != text
        ]
        connection.execute(HOURS.insert(), written)
        changed = sum((row["hour"], row["writer"]) in ours for row in written)
        return len(written) - changed, changed

    return merge


def _merged(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Row], merge: Merge
) -> tuple[int, int]:
    """Write rows; how many were new, and how many were changed."""
    if table is CREATIONS:  # each is deleted with its entry
        users = sa.select(UNFINISHED.c.user).where(
            UNFINISHED.c.user.in_([it["user"] for it in rows])
        )
        begun = set(connection.execute(users).scalars())
        rows = [row for row in rows if row["user"] in begun]
    if not rows:
        return 0, 0
    first, *_ = table.primary_key
    known = sa.select(table).where(first.in_({row[first.name] for row in rows}))
    found = [row._asdict() for row in connection.execute(known)]
    there = {_key(table, row): row for row in found}
    new = [dict(row) for row in rows if _key(table, row) not in there]
    if new:
        connection.execute(table.insert(), new)
    changed = 0
    for row in rows:
        if (ours := there.get(_key(table, row))) and (better := merge(ours, row)):
            is_row = sa.and_(*(column == row[column.name] for column in table.primary_key))
            connection.execute(table.update().where(is_row).values(dict(better)))
            changed += 1
    return len(new), changed


def _keep(_ours: Row, _theirs: Row) -> None:
    """The row that is there may be later; if it is not, its work is done once more, without harm."""


def _key(table: sa.Table, row: Row) -> tuple[Any, ...]:
    return tuple(row[column.name] for column in table.primary_key)


def _named(table: sa.Table, row: Row) -> str:
    return f"{table.name} {' '.join(repr(part)[:80] for part in _key(table, row))}"


def problem_of(table: sa.Table, row: Row, dialect: str) -> str:
    """Why a database cannot have a row; "" if it may. SQLite keeps whatever it is given."""
    for column in table.columns:
        value = row[column.name]
        if problem := _problem(column.type, value, dialect):
            return f"{column.name} {problem}"
    return ""


def _problem(kind: sa.types.TypeEngine[Any], value: Any, dialect: str) -> str:
    if isinstance(kind, sa.String):
        if not isinstance(value, str):
            return "is not text"
        if kind.length and len(value) > kind.length:
            return f"has {len(value)} characters, and {kind.length} are the limit"
        if "\0" in value and dialect == "postgresql":
            return "has a NUL character, which PostgreSQL does not allow"
        return ""
    if isinstance(kind, sa.Boolean):
        return "" if value in (0, 1) else "is neither true nor false"
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "is not a number"
    if isinstance(kind, sa.BigInteger):
        return "" if -(2**63) <= value < 2**63 else "is too large"
    if isinstance(kind, sa.Integer):
        return "" if -(2**31) <= value < 2**31 else "is too large"
    return ""
