"""The database of the journal: waited for briefly, made where it is missing, opened anew where it was lost.

Nothing here stops the program, at its start no more than later: a journal that cannot be used keeps new
users waiting (451), and nobody else. It is tried again with each operation; but where a failure took
time, a breaker answers for a while, so that the others do not lose that time too. What is wrong, and what
helps, is in the log once an hour.
"""

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    SQLAlchemyError,
)

from autocreate.backends.sql_drivers import parsed, server_engine
from autocreate.backends.sqlite_file import SqliteFile, prepare
from autocreate.errors import ConfigurationError, ServerTimeout, Temporary
from autocreate.resilience.breaker import Breaker

log = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds for a connection, and for each answer. A recipient whose mailbox exists waits once or twice for
# it, which must leave time before `milter.deadline`.
_TIMEOUT = 2.0
# A failure that takes longer opens the breaker.
_SLOW = 0.25
# The same error is not logged again for so many seconds.
_AGAIN = 3600.0

_MOVE_AWAY = "move it away: a new one is made at once, and autocreate audit --trees tells what was unfinished"
# By SQLite's primary result codes (sqlite.org/rescode.html).
_REMEDIES = {
    sqlite3.SQLITE_NOTADB: _MOVE_AWAY,
    sqlite3.SQLITE_CORRUPT: _MOVE_AWAY,
    sqlite3.SQLITE_READONLY: "let this user write to it, to the -wal and -shm beside it, and to their folder",
    sqlite3.SQLITE_CANTOPEN: "make its folder, and let this user write there",
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_IOERR: "look after its disk",
    sqlite3.SQLITE_BUSY: "end the program that locks it: fuser(1) names it",
}
_SERVER_REMEDY = "see that the server answers, and lets this user log in, write and make tables"


class Duplicate(Temporary):
    """The row is there already."""


class JournalDatabase:
    """Runs short transactions. Safe to use from several threads at once.

    Args:
        url: an SQLAlchemy URL.
        tables: what must be in it.

    Raises:
        ConfigurationError: the URL is none, or names a database that there is no driver for.
    """

    def __init__(self, url: str, tables: sa.MetaData) -> None:
        self._tables = tables
        try:
            found = parsed(url)
            self._is_server = found.get_backend_name() != "sqlite"
            self._engine = (
                server_engine(found, _TIMEOUT) if self._is_server else _sqlite_engine(found)
            )
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            reason = str(error).partition("\n")[0]
            raise ConfigurationError(
                "journal.url", [f'{reason}; write it like "sqlite:////path/to/journal.db"']
            ) from error
        self._name = f"journal {found.render_as_string(hide_password=True)}"
        self._file = SqliteFile(None if self._is_server else found.database)
        self._breaker = Breaker(self._name)
        self._is_open = False
        self._opening = threading.Lock()
        self._generation = 0  # how often dropped tables were made anew
        self._lost = ""  # what of the file was lost and not told yet
        self._told: dict[str, float] = {}  # problems, and when
        with contextlib.suppress(Temporary):  # which is in the log
            self.read(lambda _connection: None)

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """The result of `work` in a transaction of its own.

        Args:
            work: may be run twice, where the first time failed.

        Raises:
            Duplicate: a row is there already.
            Temporary: the database cannot be used.
        """
        result = self._breaker.call(lambda: self._run(work))
        self._told.clear()  # not after a read: a database that is full can still be read
        return result

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """`write` for work that changes nothing."""
        return self._breaker.call(lambda: self._run(work))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction for a command that reads rows as they come.

        Raises:
            Temporary: the database cannot be used.
        """
        with self._translated():
            self._ensure_open()
            with self._engine.begin() as connection:
                yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _run(self, work: Callable[[sa.Connection], T]) -> T:
        in_time = time.monotonic() + _TIMEOUT * 0.9
        with self._translated():
            self._ensure_open()
            generation = self._generation
            try:
                return self._once(work)
            except IntegrityError:
                raise
            except SQLAlchemyError as error:
                if time.monotonic() > in_time or not self._may_retry(error, generation):
                    raise
                return self._once(work)

    def _once(self, work: Callable[[sa.Connection], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)

    def _may_retry(self, error: SQLAlchemyError, generation: int) -> bool:
        """Was it an idle connection that the server had dropped, or tables that somebody had dropped?

        Args:
            generation: of the tables, when the work began.
        """
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return True
        if not self._opening.acquire(timeout=_TIMEOUT):
            return False
        try:
            if self._generation == generation and (dropped := self._dropped_tables()):
                self._make_tables()
                self._generation += 1
                self._tell_loss(f"its tables {', '.join(dropped)} were dropped and are made anew")
            return self._generation != generation
        except SQLAlchemyError:
            return False
        finally:
            self._opening.release()

    def _dropped_tables(self) -> list[str]:
        there = sa.inspect(self._engine)
        return [name for name in self._tables.tables if not there.has_table(name)]

    def _ensure_open(self) -> None:
        """Open the database, or anew if the file is not the one that is open.

        SQLite would go on writing to what nobody can read again.
        """
        if self._is_open and not self._file.lost:
            return
        if not self._opening.acquire(timeout=_TIMEOUT):
            raise Temporary(f"{self._name} is still being opened")
        try:
            if self._is_open and not (lost := self._file.lost):
                return  # another thread did it
            if self._is_open:
                self._is_open = False
                self._lost = lost
                self._file.closed()
                self._drop_connections()
            self._open()
        finally:
            self._opening.release()

    def _drop_connections(self) -> None:
        """Close all. The last that is closed writes what a lost -wal has to the database."""
        until = time.monotonic() + _TIMEOUT
        pool = self._engine.pool
        assert isinstance(pool, sa.QueuePool)
        while pool.checkedout() and time.monotonic() < until:
            time.sleep(0.01)
        self._engine.dispose()

    def _open(self) -> None:
        """Make what is missing: the file, and the tables in it."""
        self._file.make()
        self._make_tables()
        self._file.opened()
        self._is_open = True
        if self._lost:
            self._tell_loss(f"{self._lost} was removed or replaced; it is opened anew")
            self._lost = ""

    def _make_tables(self) -> None:
        """Make those that are missing. Each of them may be made by another MTA at the same time."""
        in_time = time.monotonic() + _TIMEOUT * 0.9
        for left in reversed(range(len(self._tables.tables) + 1)):
            try:
                self._tables.create_all(self._engine)
                break
            except SQLAlchemyError:
                if not left or time.monotonic() > in_time:
                    raise

    def _tell_loss(self, what: str) -> None:
        log.error("%s: %s; autocreate audit --trees tells what was unfinished", self._name, what)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        except IntegrityError as error:
            raise Duplicate(f"{self._name}: {error.orig}") from error
        except SQLAlchemyError as error:
            reason = getattr(error, "orig", None) or error
            text = f"{self._name} cannot be used: {' '.join(str(reason).split())}"
            self._tell(text, reason)
            is_slow = time.monotonic() - begun > _SLOW
            raise (ServerTimeout if is_slow else Temporary)(text) from error

    def _tell(self, problem: str, reason: BaseException) -> None:
        now = time.monotonic()
        if now - self._told.get(problem, -_AGAIN) < _AGAIN:
            return
        self._told[problem] = now
        code = getattr(reason, "sqlite_errorcode", 0) & 0xFF
        remedy = _SERVER_REMEDY if self._is_server else _REMEDIES.get(code, "run autocreate doctor")
        log.error(
            "%s; meanwhile new users get 451, and mail to existing mailboxes is accepted; to mend it, %s",
            *(problem, remedy),
        )


def _sqlite_engine(url: URL) -> sa.Engine:
    engine = sa.create_engine(
        url,
        poolclass=sa.QueuePool,
        pool_timeout=_TIMEOUT,
        connect_args={"timeout": _TIMEOUT, "check_same_thread": False},
    )
    sa.event.listen(engine, "connect", prepare)
    return engine
