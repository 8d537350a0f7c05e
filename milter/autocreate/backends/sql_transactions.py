"""Short transactions on the driver's own cursor, for the statements that are run for every new user.

SQLAlchemy connects, compiles each statement once, and tells from an error whether the connection is lost. Its execution
of a statement takes several times as long as the statement itself (docs/decisions/0056).
"""

import contextlib
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.pool import PoolProxiedConnection

from autocreate.backends.sql_drivers import Statement, compiled


class Command(NamedTuple):
    """A statement with its parameters.

    Args:
        statement: is never changed, and kept for good.
        rows: the parameters by name, for each row; a query has one.
    """

    statement: sa.UpdateBase | sa.Select[Any] | sa.TextClause
    rows: Sequence[Mapping[str, Any]]


class Transactions:
    """Runs transactions on an engine's connections. Safe to use from several threads at once.

    Args:
        engine: does not reset connections: what is begun here is ended here.
        timeout: seconds to wait for SQLite's lock.
    """

    def __init__(self, engine: sa.Engine, timeout: float) -> None:
        assert engine.dialect.dbapi is not None  # the engine has found its driver
        self._engine = engine
        self._dialect = engine.dialect
        self._timeout = timeout
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._driver_error: type[Exception] = engine.dialect.dbapi.Error
        self._duplicate: type[Exception] = engine.dialect.dbapi.IntegrityError
        self._statements: dict[sa.ClauseElement, Statement] = {}

    def ask(self, query: Command) -> list[Any]:
        """The rows that a query finds, each a tuple of what the driver makes of its columns.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: as SQLAlchemy's own execution.
        """
        return self._run((query,), changes=False, is_durable=True)

    def run(self, *commands: Command, is_durable: bool = True) -> None:
        """Carry out statements, all or none.

        Args:
            commands: a query among them that finds nothing ends the transaction; what follows is not carried out.
            is_durable: they outlive a power failure. SQLite saves a write to the disk if not; other databases
                decide by their own settings.

        Raises:
            sqlalchemy.exc.IntegrityError: a row exists already.
            sqlalchemy.exc.SQLAlchemyError: as SQLAlchemy's own execution.
        """
        self._run(commands, changes=True, is_durable=is_durable)

    def _run(self, commands: Sequence[Command], changes: bool, is_durable: bool) -> list[Any]:
        connection: PoolProxiedConnection | None = None
        try:
            connection = self._engine.raw_connection()
            return self._transaction(connection, commands, changes, is_durable)
        except self._driver_error as error:
            is_lost = connection is not None and self._is_lost(error, connection)
            if is_lost:
                self._engine.dispose()  # the idle ones will be lost, too
            kind = IntegrityError if isinstance(error, self._duplicate) else DBAPIError
            raise kind(None, None, error, connection_invalidated=is_lost) from error
        finally:
            if connection is not None:
                connection.close()

    def _transaction(
        self,
        connection: PoolProxiedConnection,
        commands: Sequence[Command],
        changes: bool,
        is_durable: bool,
    ) -> list[Any]:
        is_hasty = self._is_sqlite and not is_durable
        try:
            cursor = connection.cursor()
            if is_hasty:
                cursor.execute("PRAGMA synchronous=NORMAL")
            if changes and self._is_sqlite:  # any other driver begins by itself
                _lock_sqlite(cursor, self._timeout)
            rows: list[Any] = []
            for command in commands:
                self._execute(cursor, command)
                if cursor.description:
                    rows = list(cursor.fetchall())
                    if not rows:
                        break
            connection.commit()
            if is_hasty:
                cursor.execute("PRAGMA synchronous=FULL")
            cursor.close()
        except BaseException as error:
            is_of_driver = isinstance(error, self._driver_error)
            if is_of_driver or self._is_sqlite:
                # A closed connection of SQLite's keeps its lock as long as a cursor refers to it.
                with contextlib.suppress(self._driver_error):
                    connection.rollback()
            if is_hasty or not is_of_driver:
                connection.invalidate()  # it may be in any state
            raise
        return rows

    def _execute(self, cursor: Any, command: Command) -> None:
        statement = self._statements.get(command.statement)
        if statement is None:
            statement = compiled(command.statement, self._dialect)
            self._statements[command.statement] = statement
        values = [statement.values(row) for row in command.rows]
        if len(values) == 1:
            cursor.execute(statement.text, values[0])
        else:
            cursor.executemany(statement.text, values)

    def _is_lost(self, error: Exception, connection: PoolProxiedConnection) -> bool:
        raw: Any = connection.dbapi_connection
        if raw is None:
            return False  # given up before
        is_lost = self._dialect.is_disconnect(error, raw, None)  # type: ignore[arg-type]
        if is_lost:
            connection.invalidate()
        return is_lost


def _lock_sqlite(cursor: Any, timeout: float) -> None:
    """Begin a transaction on SQLite that writes, once nobody else does.

    SQLite by itself looks ever less often whether its lock is free, in the end ten times a second. Where
    others write one after the other it is then held at each look, and the time is up.

    Args:
        timeout: seconds to wait, now and for the connection's next statements.

    Raises:
        sqlite3.OperationalError: it was not free in time.
    """
    until = time.monotonic() + timeout
    cursor.execute("PRAGMA busy_timeout=10")
    try:
        while not _has_begun(cursor, until):
            pass
    finally:
        cursor.execute(f"PRAGMA busy_timeout={timeout * 1000:.0f}")


def begin_writing(connection: sa.Connection, timeout: float) -> None:
    """Begin a transaction of SQLAlchemy's that writes; on SQLite, once nobody else does.

    Args:
        timeout: seconds to wait for SQLite's lock, now and for the connection's next statements.

    Raises:
        sqlalchemy.exc.OperationalError: SQLite's lock was not free in time.
    """
    if connection.dialect.name != "sqlite":
        return
    try:
        _lock_sqlite(connection.connection.cursor(), timeout)
    except sqlite3.OperationalError as error:
        raise OperationalError(None, None, error) from error


def _has_begun(cursor: Any, until: float) -> bool:
    try:
        cursor.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
        if not is_busy or time.monotonic() > until:
            raise
        return False
    return True
