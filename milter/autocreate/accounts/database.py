"""An SQL database that is asked by queries of the administrator's: connections, time limits, errors.

SQLAlchemy keeps the pool. Each driver is told its time limits in its own words; SQLite is opened
read only, and anew where its file was replaced.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, Row
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from autocreate.accounts.passwordfile import password
from autocreate.drivers import parsed, server_engine
from autocreate.errors import Busy, ConfigurationError, Silent, Temporary, Unreachable
from autocreate.sqlitefile import follow_file


class Database:
    """Runs queries. Safe to call from several threads at once.

    Args:
        key: where the configuration names the database, for errors: `accounts.staff`.
        url: an SQLAlchemy database URL.
        password_file: its first line is the password; None if the URL says it, or none is needed.
        timeout: seconds for the connection, for each answer, and for a locked SQLite database.
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
        self._timeout = timeout
        self._connections = connections
        try:
            found = parsed(url)
            if password_file:
                found = found.set(password=password(key, password_file))
            self._engine = _engine(found, timeout, connections)
        except (ArgumentError, NoSuchModuleError) as error:
            raise ConfigurationError(key, [f"url: {error}"]) from error
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                key, [f"url: {error}; install autocreate-milter[postgresql] or [mysql]"]
            ) from error

    def __str__(self) -> str:
        return self._engine.url.render_as_string(hide_password=True)

    def select(self, query: sa.TextClause, parameters: Mapping[str, str]) -> Sequence[Row[Any]]:
        """All rows that a query finds.

        A server that was restarted has dropped the idle connections, which shows only at the first
        query: then, and only then, it is asked once more on a new one.

        Raises:
            Unreachable: no connection; `Silent` if it is for want of an answer.
            Busy: no connection became free in time.
            Temporary: any other error, such as a missing table.
        """
        until = time.monotonic() + self._timeout
        try:
            return self._select(query, parameters)
        except Silent:
            raise
        except Unreachable:
            if time.monotonic() > until:
                raise
            return self._select(query, parameters)

    def stream(self, query: sa.TextClause) -> Iterator[Row[Any]]:
        """All rows that a query finds, as they come: there may be millions.

        Raises:
            Unreachable, Temporary: as `select`; perhaps in the middle.
        """
        with self._connection() as connection:
            if self._engine.dialect.name != "sqlite":
                # A cursor on the server lives in a transaction.
                connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                yield from connection.execution_options(yield_per=1000).execute(query)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _select(self, query: sa.TextClause, parameters: Mapping[str, str]) -> Sequence[Row[Any]]:
        with self._connection() as connection:
            return connection.execute(query, dict(parameters)).all()

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
            raise Busy(
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
            raise (Silent if is_late else Unreachable)(text) from error


def text_of(value: object) -> str:
    """A column's value as text: numbers in digits, and the bytes of a binary column as UTF-8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _engine(url: URL, timeout: float, connections: int) -> Engine:
    kind = url.get_backend_name()
    if kind == "sqlite":
        # Read only, so that a missing file is an error and not a new, empty database.
        if url.database and not url.database.startswith("file:"):
            location = f"file:{quote(url.database)}"
            url = url.set(database=location, query={**url.query, "mode": "ro", "uri": "true"})
        engine = sa.create_engine(
            url,
            poolclass=sa.QueuePool,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=timeout,
            connect_args={"timeout": timeout, "check_same_thread": False},
        )
        follow_file(engine)
        return engine
    return server_engine(
        url,
        timeout,
        pool_size=connections,
        max_overflow=0,
        pool_use_lifo=True,
        pool_reset_on_return=None,  # with autocommit there is nothing to roll back
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
    )
