"""An SQL database that runs the administrator's queries: connections, time limits, errors.

For a server, SQLAlchemy connects, keeps the connections, and compiles each query once. The query is then run on
the driver's own cursor (docs/decisions/0059). An SQLite file is read by `autocreate.backends.sqlite`.
"""

import contextlib
import struct
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    NoSuchModuleError,
    SQLAlchemyError,
)
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from autocreate.backends.options import SqlOptions
from autocreate.backends.password_file import password
from autocreate.backends.sql_drivers import (
    Statement,
    compiled,
    in_words,
    parsed,
    server_engine,
    shown,
)
from autocreate.backends.sqlite import Answer, SqliteReader
from autocreate.errors import (
    ConfigurationError,
    PoolExhausted,
    ServerTimeout,
    Temporary,
    Unreachable,
)
from autocreate.resilience.answer_limit import AnswerTooLong, limited_rows
from autocreate.resilience.exception_map import ExceptionMap, map_exceptions


class Rows(list[Any]):
    """The rows that a query found, each a tuple.

    Args:
        columns: their names.
    """

    def __init__(self, columns: tuple[str, ...], rows: list[Any]) -> None:
        super().__init__(rows)
        self.columns = columns


class Database:
    """Runs queries. Safe to call from several threads at once.

    Args:
        options: of the database.

    Raises:
        ConfigurationError: the URL names a database that SQLAlchemy, or this machine, has no driver
            for, or the password cannot be read.
    """

    def __init__(self, options: SqlOptions) -> None:
        try:
            url = parsed(options.url)
            if options.password_file:
                url = url.set(password=password(options.key, options.password_file))
            kind = SqliteReader if url.get_backend_name() == "sqlite" else _Server
            self._asked: SqliteReader | _Server = kind(url, options.timeout, options.connections)
        except (ArgumentError, NoSuchModuleError) as error:
            raise ConfigurationError(options.key, [f"url: {error}"]) from error
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                options.key, [f"url: {error}; install autocreate-milter[postgresql] or [mysql]"]
            ) from error

    def __str__(self) -> str:
        return str(self._asked)

    def select(self, query: sa.TextClause, parameters: Mapping[str, str]) -> Rows:
        """All rows that a query finds.

        Raises:
            Unreachable: no connection; `ServerTimeout` if the server does not answer.
            PoolExhausted: no connection became free in time.
            Temporary: any other error, such as a missing table.
        """
        return Rows(*self._asked.select(query, parameters))

    def stream(self, query: sa.TextClause) -> Iterator[Any]:
        """All rows that a query finds, one by one: there may be millions.

        Raises:
            Unreachable, PoolExhausted, Temporary: as `select`, possibly after some rows.
        """
        return self._asked.stream(query)

    def close(self) -> None:
        """Close every connection."""
        self._asked.close()


_ANYTHING = sa.text("SELECT 1")


class _Server:
    """A database on a server. See `Database` for its methods."""

    def __init__(self, url: URL, timeout: float, connections: int) -> None:
        self._name = shown(url)
        self._timeout = timeout
        self._connections = connections
        self._engine = server_engine(
            url,
            timeout,
            pool_size=connections,
            max_overflow=0,
            pool_use_lifo=True,
            pool_reset_on_return=None,  # with autocommit there is nothing to roll back
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
        )
        assert self._engine.dialect.dbapi is not None  # the engine has found its driver
        self._driver_error: type[Exception] = self._engine.dialect.dbapi.Error
        self._statements: dict[sa.TextClause, Statement] = {}
        # When a connection is lost, all that were made before it are, too.
        self._generation = object()
        sa.event.listen(self._engine, "connect", self._made)
        sa.event.listen(self._engine, "checkout", self._taken)

    def __str__(self) -> str:
        return self._name

    def select(self, query: sa.TextClause, parameters: Mapping[str, str]) -> Answer:
        """After a restart of the server, the idle connections are broken, which the first query
        notices. Only then is the query run again, on a new connection."""
        until = time.monotonic() + self._timeout
        statement = self._statements.get(query)
        if statement is None:
            statement = self._statements[query] = compiled(query, self._engine.dialect)
        try:
            values = statement.values(parameters)
        except Temporary as error:
            raise Temporary(f"{self}: {error}") from error
        try:
            return self._select(statement, values)
        except ServerTimeout:
            raise
        except Unreachable:
            if time.monotonic() > until:
                raise
            return self._select(statement, values)

    def stream(self, query: sa.TextClause) -> Iterator[Any]:
        # An idle connection that the server has closed is replaced here. Below, the driver's own error would come
        # through: SQLAlchemy does not translate it when a transaction's isolation level is set.
        self.select(_ANYTHING, {})
        attempt = self._attempt()
        with map_exceptions(_CONNECTION_ERRORS, attempt):
            connection = self._engine.connect()
        with map_exceptions(_QUERY_ERRORS, attempt), connection:
            # A cursor on the server lives in a transaction.
            connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                yield from connection.execution_options(yield_per=1000).execute(query)

    def close(self) -> None:
        self._engine.dispose()

    def _select(self, statement: Statement, values: Any) -> Answer:
        attempt = self._attempt()
        with map_exceptions(_CONNECTION_ERRORS, attempt):
            connection = self._connected()
        with map_exceptions(_QUERY_ERRORS, attempt), contextlib.closing(connection):
            return self._answer(connection, statement, values)

    def _connected(self) -> PoolProxiedConnection:
        try:
            return self._engine.raw_connection()
        except self._driver_error as error:
            raise DBAPIError(None, None, error) from error

    def _made(self, _raw: Any, entry: ConnectionPoolEntry) -> None:
        entry.info["generation"] = self._generation

    def _taken(self, _raw: Any, entry: ConnectionPoolEntry, _proxy: Any) -> None:
        if entry.info["generation"] is not self._generation:
            raise DisconnectionError  # the pool makes another in its place

    def _answer(
        self, connection: PoolProxiedConnection, statement: Statement, values: Any
    ) -> Answer:
        """What a query finds. A connection is kept only after an answer, or a proper error of the server."""
        try:
            with contextlib.closing(connection.cursor()) as cursor:
                cursor.execute(statement.text, values)
                if not cursor.description:
                    raise Temporary(f"{self}: the query returns no rows; is it a SELECT?")
                columns = tuple(column[0] for column in cursor.description)
                return columns, list(limited_rows(cursor.fetchall()))
        except self._driver_error as error:
            raw: Any = connection.dbapi_connection
            is_lost = self._engine.dialect.is_disconnect(error, raw, None)  # type: ignore[arg-type]
            if is_lost:
                self._generation = object()
                connection.invalidate()
            raise DBAPIError(None, None, error, connection_invalidated=is_lost) from error
        except BaseException:
            connection.invalidate()  # it may be in any state
            raise

    def _attempt(self) -> "_Attempt":
        return _Attempt(self._name, self._timeout, self._connections, time.monotonic())


class _Attempt(NamedTuple):
    """A connection to a server and its use, for the error if one of them fails.

    Args:
        server: its URL without the password.
        begun: when, by the monotonic clock.
    """

    server: str
    timeout: float
    connections: int
    begun: float


def _failed(attempt: _Attempt, error: Exception) -> Temporary:
    return Temporary(f"{attempt.server}: {in_words(error)}")


def _lost(attempt: _Attempt, error: DBAPIError) -> Temporary:
    is_late = time.monotonic() - attempt.begun >= attempt.timeout * 0.9
    return (ServerTimeout if is_late else Unreachable)(f"{attempt.server}: {in_words(error)}")


def _busy(attempt: _Attempt, _: Exception) -> Temporary:
    return PoolExhausted(
        f"{attempt.server}: all {attempt.connections} connections are busy for {attempt.timeout:g} s"
    )


def _query_failed(attempt: _Attempt, error: DBAPIError) -> Temporary:
    return (_lost if error.connection_invalidated else _failed)(attempt, error)


def _bad_option(attempt: _Attempt, error: Exception) -> Temporary:
    # PyMySQL takes what the URL has after its `?` for arguments.
    return Temporary(f"{attempt.server}: an option in the URL that the driver lacks: {error}")


def _nonsense(attempt: _Attempt, error: Exception) -> Temporary:
    return Unreachable(f"{attempt.server}: answered nonsense: {error!r}")


_QUERY_ERRORS: ExceptionMap[_Attempt] = {
    # A driver stumbles over nonsense with whatever comes to hand.
    **dict.fromkeys(
        (ValueError, LookupError, AttributeError, AssertionError, struct.error), _nonsense
    ),
    SQLAlchemyError: _failed,
    DBAPIError: _query_failed,
    UnicodeError: _failed,
    AnswerTooLong: _failed,
}

_CONNECTION_ERRORS: ExceptionMap[_Attempt] = {
    **_QUERY_ERRORS,
    DBAPIError: _lost,
    sa.exc.TimeoutError: _busy,
    TypeError: _bad_option,
}


def text_of(value: object) -> str:
    """The value of a column as text: numbers in digits, and binary columns as UTF-8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
