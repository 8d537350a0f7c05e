"""The database drivers that this program uses, and how the time limits of each are set."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from autocreate.backends.options import is_secret

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
    """An engine for a database server, with time limits.

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
    if url.drivername == "postgresql+psycopg":
        sa.event.listen(engine, "do_connect", partial(_connect_postgresql, timeout))
    return engine


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


def _connect_postgresql(
    timeout: float, _dialect: Any, _record: Any, arguments: Sequence[Any], options: dict[str, Any]
) -> Any:
    """A connection with a time limit for answers, which psycopg does not have."""
    return _limited_connection(timeout)(*arguments, **options)


def _limited_connection(timeout: float) -> Callable[..., Any]:
    import psycopg  # noqa: PLC0415 -- an extra, which only PostgreSQL needs
    from psycopg.pq import TransactionStatus  # noqa: PLC0415

    class Connection(psycopg.Connection[Any]):
        def wait(self, gen: Any, interval: float = 0.1, limit: float | None = None) -> Any:
            try:
                return super().wait(gen, interval, timeout if limit is None else limit)
            except psycopg.OperationalError as error:
                if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                    raise
                self.close()  # the answer may still come, and would be taken for that of the next query
                raise psycopg.errors.ConnectionTimeout(f"no answer within {timeout:g} s") from error

    return Connection.connect
