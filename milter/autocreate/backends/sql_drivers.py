"""The database drivers that this program depends on, and how each is told its time limits."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}


def parsed(url: str) -> URL:
    """An SQLAlchemy URL, with a driver.

    Raises:
        sqlalchemy.exc.ArgumentError: it is none.
    """
    try:
        found = make_url(url)
    except ValueError:
        raise ArgumentError("its port is no number") from None
    return found.set(drivername=_DRIVERS.get(found.drivername, found.drivername))


def problem_of(url: str) -> str:
    """Why a URL names no database that could be connected to; "" if it does, or may."""
    kind = url.partition("://")[0]
    try:
        found = parsed(url)
        dialect = found.get_dialect()
    except NoSuchModuleError:
        return f"there is no kind of database {kind!r}"
    except ModuleNotFoundError:
        return ""  # what is missing can be installed, and is said when it is asked
    except ArgumentError as error:
        return str(error).partition("\n")[0]
    if found.port is not None and not 0 < found.port < 65536:
        return f"there is no port {found.port}"
    return f"{kind!r} cannot be used here" if dialect.is_async else ""


def server_engine(url: URL, timeout: float, **options: Any) -> Engine:
    """An engine for a database server, which gives up where the server is silent.

    Args:
        timeout: seconds for a connection of the pool, for connecting, and for each answer.
        options: SQLAlchemy's further ones.
    """
    limits = _limits(url.get_backend_name(), timeout)
    engine = sa.create_engine(url, pool_timeout=timeout, connect_args=limits, **options)
    if url.drivername == "postgresql+psycopg":
        sa.event.listen(engine, "do_connect", partial(_connect_postgresql, timeout))
    return engine


def _limits(kind: str, timeout: float) -> dict[str, Any]:
    if kind in ("mysql", "mariadb"):
        return {"connect_timeout": timeout, "read_timeout": timeout, "write_timeout": timeout}
    if kind == "postgresql":
        # Prepared statements would break behind a pgbouncer that pools transactions.
        return {"connect_timeout": math.ceil(timeout), "prepare_threshold": None}
    return {}


def _connect_postgresql(
    timeout: float, _dialect: Any, _record: Any, arguments: Sequence[Any], options: dict[str, Any]
) -> Any:
    """A connection that gives up waiting for an answer, which psycopg's own never does."""
    return _patient_connection(timeout)(*arguments, **options)


def _patient_connection(timeout: float) -> Callable[..., Any]:
    import psycopg  # noqa: PLC0415 -- an extra, which only PostgreSQL needs
    from psycopg.pq import TransactionStatus  # noqa: PLC0415

    class Connection(psycopg.Connection[Any]):
        def wait(self, gen: Any, interval: float = 0.1, limit: float | None = None) -> Any:
            try:
                return super().wait(gen, interval, timeout if limit is None else limit)
            except psycopg.OperationalError as error:
                if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                    raise
                self.close()  # its answer may still come, and would be taken for the next one's
                raise psycopg.errors.ConnectionTimeout(f"no answer within {timeout:g} s") from error

    return Connection.connect
