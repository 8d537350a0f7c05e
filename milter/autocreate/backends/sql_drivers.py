"""The database drivers that this program uses, and how the limits of each are set."""

import math
import os
import socket
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from autocreate.backends.options import is_secret
from autocreate.errors import Temporary
from autocreate.resilience.answer_limit import AnswerTooLong, LimitedStream, ReceivedLimit

_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}


def parsed(url: str) -> URL:
    """An SQLAlchemy URL, with a driver.

    Raises:
        sqlalchemy.exc.ArgumentError: it is not a valid URL.
    """
    try:
        found = make_url(url)
    except ValueError:
        raise ArgumentError("its port is not a number") from None
    return found.set(drivername=_DRIVERS.get(found.drivername, found.drivername))


def shown(url: URL) -> str:
    """A URL as text, for the log and for errors: without its secrets."""
    hidden = {key: "***" if is_secret(key) else value for key, value in url.query.items()}
    return url.set(query=hidden).render_as_string(hide_password=True)


def problem_of(url: str) -> str:
    """Why nothing can connect to the database of this URL; "" if something may."""
    kind = url.partition("://")[0]
    try:
        found = parsed(url)
        dialect = found.get_dialect()
    except NoSuchModuleError:
        return f"unknown type of database {kind!r}"
    except ModuleNotFoundError:
        return ""  # the driver can be installed; the error comes when the database is used
    except ArgumentError as error:
        return str(error).partition("\n")[0]
    if found.port is not None and not 0 < found.port < 65536:
        return f"port {found.port} does not exist"
    return f"{kind!r} is not supported" if dialect.is_async else ""


def server_engine(url: URL, timeout: float, **options: Any) -> Engine:
    """An engine for a database server, with limits for the time and the bytes of an answer.

    Args:
        timeout: seconds to get a connection of the pool, to connect, and for each answer.
        options: further options of SQLAlchemy's.

    Raises:
        sqlalchemy.exc.ArgumentError: the URL asks for TLS, and the driver would go on without.
    """
    if url.drivername == "mysql+pymysql" and _wants_tls(url):
        _require_tls()
    limits = _limits(url.get_backend_name(), timeout)
    engine = sa.create_engine(url, pool_timeout=timeout, connect_args=limits, **options)
    if connect := _CONNECT.get(url.drivername):
        sa.event.listen(engine, "do_connect", partial(_connected, connect, timeout))
    return engine


def in_words(error: Exception) -> str:
    """An error of the driver, on one line; SQLAlchemy's own if there is none of the driver."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def session_engine(url: URL, timeout: float) -> Engine:
    """An engine with one connection, whose session is kept: each statement counts at once.

    Arguments and errors are those of `server_engine`.
    """
    return server_engine(
        url,
        timeout,
        pool_size=1,
        max_overflow=0,
        pool_reset_on_return=None,
        isolation_level="AUTOCOMMIT",
    )


class Statement(NamedTuple):
    """A query as a driver takes it.

    Args:
        text: in the driver's syntax for parameters.
        names: of the parameters, in the order of the text if they are told apart by position alone.
    """

    text: str
    names: tuple[str, ...]
    is_positional: bool

    def values(self, parameters: Mapping[str, Any]) -> Any:
        """The second argument of a cursor's `execute`.

        Raises:
            Temporary: the query has a parameter that is not among these.
        """
        try:
            if self.is_positional:
                return [parameters[name] for name in self.names]
            return {name: parameters[name] for name in self.names}
        except KeyError as error:
            raise Temporary(f"the query has a parameter {error} that does not exist") from error


def compiled(query: sa.ClauseElement, dialect: sa.Dialect) -> Statement:
    """A query, or another statement, for the driver of a dialect."""
    found: Any = query.compile(dialect=dialect)
    is_positional = bool(found.positional)
    names = found.positiontup if is_positional else found.binds
    return Statement(str(found), tuple(names or ()), is_positional)


def _wants_tls(url: URL) -> bool:
    return any(key.startswith("ssl") and key != "ssl_disabled" for key in url.query)


def _require_tls() -> None:
    """PyMySQL before 1.2 logs in unencrypted to a server that offers no TLS, whatever was asked for."""
    import pymysql  # noqa: PLC0415 -- an extra, which only MySQL needs

    if pymysql.VERSION[:2] < (1, 2):
        found = ".".join(map(str, pymysql.VERSION[:3]))
        raise ArgumentError(
            f"PyMySQL {found} sends the password unencrypted to a server that offers no TLS; "
            "install PyMySQL 1.2 or later"
        )


def _limits(kind: str, timeout: float) -> dict[str, Any]:
    if kind in ("mysql", "mariadb"):
        return {"connect_timeout": timeout, "read_timeout": timeout, "write_timeout": timeout}
    if kind == "postgresql":
        # Prepared statements do not work with a pgbouncer that pools transactions.
        return {"connect_timeout": math.ceil(timeout), "prepare_threshold": None}
    return {}


def _connected(
    connect: Callable[[float], Callable[..., Any]],
    timeout: float,
    _dialect: Any,
    _record: Any,
    arguments: Sequence[Any],
    options: dict[str, Any],
) -> Any:
    return connect(timeout)(*arguments, **options)


def _postgresql(timeout: float) -> Callable[..., Any]:
    """Connections with limits for answers, which psycopg does not have."""
    import psycopg  # noqa: PLC0415 -- an extra, which only PostgreSQL needs
    from psycopg.pq import TransactionStatus  # noqa: PLC0415

    class Connection(psycopg.Connection[Any]):
        _watched: socket.socket | None = None  # libpq's, by another descriptor

        def wait(self, gen: Any, interval: float = 0.1, limit: float | None = None) -> Any:
            seconds = timeout if limit is None else limit
            try:
                return super().wait(self._counted(gen), interval, seconds)
            except AnswerTooLong as error:
                self.close()
                raise psycopg.OperationalError(str(error)) from error
            except psycopg.OperationalError as error:
                if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                    raise
                self.close()  # the answer may still come, and would be taken for that of the next query
                raise psycopg.errors.ConnectionTimeout(f"no answer within {timeout:g} s") from error

        def _counted(self, gen: Any) -> Generator[Any, Any, Any]:
            """The steps in which libpq reads, each after a look at how much it has read."""
            if self._watched is None:
                self._watched = socket.socket(fileno=os.dup(self.pgconn.socket))
            # psycopg limits the time. libpq reads until nothing waits.
            limit = ReceivedLimit(self._watched, math.inf, reads_all=True)
            try:
                wanted = next(gen)
                while True:
                    ready = yield wanted
                    limit.seconds_left()
                    wanted = gen.send(ready)
            except StopIteration as done:
                limit.seconds_left()
                return done.value

        def close(self) -> None:
            super().close()
            watched, self._watched = self._watched, None
            if watched is not None:
                watched.close()

    return Connection.connect


def _mysql(timeout: float) -> Callable[..., Any]:
    """Connections whose answers have one limit: PyMySQL limits the time of each piece, and no bytes."""
    import pymysql.connections  # noqa: PLC0415 -- an extra, which only MySQL needs

    class Connection(pymysql.connections.Connection):
        _sock: socket.socket
        _stream: LimitedStream | None = None
        _is_streamed = False

        @property
        def _rfile(self) -> LimitedStream | None:
            """What PyMySQL reads from. It opens a file on its socket, and another within TLS."""
            return self._stream

        @_rfile.setter
        def _rfile(self, file: Any) -> None:
            self._stream = LimitedStream(self._sock, timeout) if file else None

        def _execute_command(self, command: Any, sql: Any) -> None:
            self._allow()
            super()._execute_command(command, sql)  # type: ignore[misc]

        def _read_query_result(self, unbuffered: bool = False) -> Any:
            self._is_streamed = unbuffered
            return super()._read_query_result(unbuffered)  # type: ignore[misc]

        def _read_packet(self, *arguments: Any) -> Any:
            if self._is_streamed:  # each row is an answer: nobody keeps them all
                self._allow()
            return super()._read_packet(*arguments)  # type: ignore[no-untyped-call]

        def _allow(self) -> None:
            if self._stream:
                self._stream.allow(timeout)

    return Connection


_CONNECT = {"postgresql+psycopg": _postgresql, "mysql+pymysql": _mysql}
