"""An SQL database that is asked by queries of the administrator's: connections, time limits, errors.

Of a server SQLAlchemy keeps a pool. Each driver is told its time limits in its own words. A file of
SQLite's is read by `autocreate.backends.sqlite`.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from autocreate.backends.password_file import password
from autocreate.backends.sql_drivers import parsed, server_engine
from autocreate.backends.sqlite import Answer, SqliteReader
from autocreate.errors import (
    ConfigurationError,
    PoolExhausted,
    ServerTimeout,
    Temporary,
    Unreachable,
)


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
        key: where the configuration names the database, for errors: `accounts.staff`.
        url: an SQLAlchemy database URL.
        password_file: its first line is the password; None if the URL says it, or none is needed.
        timeout: seconds for the connection, for each answer, and for an SQLite file that others lock
            or write.
        connections: how many may be open at once.

    Raises:
        ConfigurationError: the URL names a database that SQLAlchemy, or this machine, has no driver
            for, or the password cannot be read.
    """

    def __init__(
        self,
        key: str,
        url: str,
        password_file: Path | None = None,
        timeout: float = 5.0,
        connections: int = 4,
    ) -> None:
        try:
            found = parsed(url)
            if password_file:
                found = found.set(password=password(key, password_file))
            kind = SqliteReader if found.get_backend_name() == "sqlite" else _Server
            self._asked: SqliteReader | _Server = kind(found, timeout, connections)
        except (ArgumentError, NoSuchModuleError) as error:
            raise ConfigurationError(key, [f"url: {error}"]) from error
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                key, [f"url: {error}; install autocreate-milter[postgresql] or [mysql]"]
            ) from error

    def __str__(self) -> str:
        return str(self._asked)

    def select(self, query: sa.TextClause, parameters: Mapping[str, str]) -> Rows:
        """All rows that a query finds.

        Raises:
            Unreachable: no connection; `ServerTimeout` if it is for want of an answer.
            PoolExhausted: no connection became free in time.
            Temporary: any other error, such as a missing table.
        """
        return Rows(*self._asked.select(query, parameters))

    def stream(self, query: sa.TextClause) -> Iterator[Any]:
        """All rows that a query finds, as they come: there may be millions.

        Raises:
            Unreachable, Busy, Temporary: as `select`; perhaps in the middle.
        """
        return self._asked.stream(query)

    def close(self) -> None:
        """Close every connection."""
        self._asked.close()


class _Server:
    """A database at a server. What its methods promise, `Database` says."""

    def __init__(self, url: URL, timeout: float, connections: int) -> None:
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

    def __str__(self) -> str:
        return self._engine.url.render_as_string(hide_password=True)

    def select(self, query: sa.TextClause, parameters: Mapping[str, str]) -> Answer:
        """A server that was restarted has dropped the idle connections, which shows only at the first
        query: then, and only then, it is asked once more on a new one."""
        until = time.monotonic() + self._timeout
        try:
            return self._select(query, parameters)
        except ServerTimeout:
            raise
        except Unreachable:
            if time.monotonic() > until:
                raise
            return self._select(query, parameters)

    def stream(self, query: sa.TextClause) -> Iterator[Any]:
        with self._connection() as connection:
            # A cursor on the server lives in a transaction.
            connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                yield from connection.execution_options(yield_per=1000).execute(query)

    def close(self) -> None:
        self._engine.dispose()

    def _select(self, query: sa.TextClause, parameters: Mapping[str, str]) -> Answer:
        with self._connection() as connection:
            result = connection.execute(query, dict(parameters))
            return tuple(result.keys()), list(result.all())

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        """A connection, around whose use errors become ours."""
        begun = time.monotonic()
        is_connected = False
        try:
            with self._engine.connect() as connection:
                is_connected = True
                yield connection
        except sa.exc.TimeoutError as error:
            connections = self._connections
            raise PoolExhausted(
                f"{self}: all {connections} connections are busy for {self._timeout:g} s"
            ) from error
        except TypeError as error:
            if is_connected:
                raise
            # PyMySQL takes what the URL has behind its `?` for arguments.
            raise Temporary(
                f"{self}: an option in the URL that the driver lacks: {error}"
            ) from error
        except (SQLAlchemyError, UnicodeError) as error:
            reason = getattr(error, "orig", None) or error
            text = f"{self}: {' '.join(str(reason).split())}"
            lost = isinstance(error, DBAPIError) and (
                error.connection_invalidated or not is_connected
            )
            if not lost:
                raise Temporary(text) from error
            is_late = time.monotonic() - begun >= self._timeout * 0.9
            raise (ServerTimeout if is_late else Unreachable)(text) from error


def text_of(value: object) -> str:
    """A column's value as text: numbers in digits, and the bytes of a binary column as UTF-8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
