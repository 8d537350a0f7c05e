"""Opens the database of a journal: by its URL, with a limit for each answer."""

import sqlite3
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

from autocreate.backends.password_file import password
from autocreate.backends.sql_drivers import parsed, server_engine, shown
from autocreate.backends.sqlite_file import SqliteFile
from autocreate.errors import ConfigurationError


class Opened(NamedTuple):
    """A database that connections can be made to.

    Args:
        file: of SQLite; of a server it is nothing.
        name: for messages, without secrets.
    """

    engine: sa.Engine
    file: SqliteFile
    name: str


def engine_of(url: str, password_file: Path | None, timeout: float) -> Opened:
    """The database of a URL. Connects to nothing yet.

    Args:
        url: an SQLAlchemy URL.
        password_file: its first line is the password; None if none is needed.
        timeout: seconds for a connection, for each answer, and for SQLite's lock.

    Raises:
        ConfigurationError: the URL is invalid, its database has no driver here, or the password cannot be read.
    """
    try:
        found = parsed(url)
        if password_file:
            found = found.set(password=password("journal", password_file))
        is_server = found.get_backend_name() != "sqlite"
        file = SqliteFile(None if is_server else found.database)
        engine = (
            server_engine(found, timeout, pool_reset_on_return=None)
            if is_server
            else _sqlite_engine(found, file, timeout)
        )
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(
            "journal.url", [f'{reason}; write it like "sqlite:////path/to/journal.db"']
        ) from error
    return Opened(engine, file, f"journal {shown(found)}")


# Sessions of this user in this database; of other users a server tells administrators only.
_OTHER_SESSIONS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND usename = current_user AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
    "mysql": "SELECT count(*) FROM information_schema.processlist "
    "WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}
_OTHER_SESSIONS["mariadb"] = _OTHER_SESSIONS["mysql"]


def in_use(engine: sa.Engine) -> bool:
    """Is another process connected to this database?

    Processes keep their connections open. This engine must have one connection at most.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: it cannot be asked.
    """
    if engine.dialect.name != "sqlite":
        others = _OTHER_SESSIONS.get(engine.dialect.name)
        if others is None:
            return True  # this database cannot be asked
        with engine.begin() as connection:
            return bool(connection.exec_driver_sql(others).scalar_one())
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        # Every connection in WAL mode holds a shared lock on the file, which this mode does not share.
        cursor.execute("PRAGMA locking_mode=EXCLUSIVE")
        cursor.execute("PRAGMA busy_timeout=0")  # others must not wait meanwhile
        cursor.execute("BEGIN IMMEDIATE")
        return False
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            return True
        raise OperationalError(None, None, error) from error
    finally:
        cursor.close()
        raw.invalidate()  # closes it, and so gives the lock up


def _sqlite_engine(url: URL, file: SqliteFile, timeout: float) -> sa.Engine:
    engine = sa.create_engine(
        url,
        poolclass=sa.QueuePool,
        pool_reset_on_return=None,  # every use is a transaction that ends by itself
        pool_timeout=timeout,
        connect_args={"timeout": timeout, "check_same_thread": False},
    )
    sa.event.listen(engine, "do_connect", file.connect)
    return engine
