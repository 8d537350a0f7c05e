"""The database of the journal: short timeouts, created where it is missing, reopened where it was lost.

A journal that cannot be used never stops the program, at its start or later: new users are deferred (451),
and nobody else is affected. It is tried again with each operation; after a failure that took long, a
breaker fails at once for a pause, so that other callers do not lose that time too. The problem and its
remedy are logged once an hour.

SQLite has one writer at a time. The threads of this process take turns, instead of each looking now and then whether
SQLite's lock is free: some would find it held each time until their time is up. See docs/decisions/0056.
"""

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from autocreate.backends.file_locks import FileLocks
from autocreate.backends.local_channel import LocalChannel
from autocreate.backends.postgres_channel import PostgresChannel
from autocreate.backends.sql_drivers import in_words
from autocreate.backends.sql_locks import SessionLocks
from autocreate.backends.sql_transactions import Command, Transactions, begin_writing
from autocreate.errors import ServerTimeout, Temporary
from autocreate.resilience.breaker import Breaker
from autocreate.resilience.health import Health
from autocreate.service import journal_schema, journal_sharing
from autocreate.service.journal_engine import engine_of
from autocreate.service.journal_schema import Schema, Unusable

log = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds for a connection, and for each answer. A recipient whose mailbox exists may wait for it twice,
# which must leave time before `milter.deadline`.
_TIMEOUT = 2.0
# A failure that takes longer opens the breaker.
_SLOW = 0.25
# The same error is not logged again for so many seconds.
_AGAIN = 3600.0
# Seconds after which the version is read again: a newer program may have upgraded the journal.
_BETWEEN_VERSIONS = 60.0

_MOVE_AWAY = "move it away: a new one is created at once, and autocreate audit --trees shows what was unfinished"
# By SQLite's primary result codes (sqlite.org/rescode.html).
_REMEDIES = {
    sqlite3.SQLITE_NOTADB: _MOVE_AWAY,
    sqlite3.SQLITE_CORRUPT: _MOVE_AWAY,
    sqlite3.SQLITE_READONLY: "make it, its -wal and -shm files and their directory writable for this user",
    sqlite3.SQLITE_CANTOPEN: "create its directory and make it writable for this user",
    sqlite3.SQLITE_FULL: "free space on its disk",
    sqlite3.SQLITE_IOERR: "check its disk",
    sqlite3.SQLITE_BUSY: "stop the program that locks it: fuser(1) names it",
}
_SERVER_REMEDY = (
    "check that the server answers and that this user may log in, write and create tables"
)
# PostgreSQL: serialization_failure, deadlock_detected. MariaDB: ER_LOCK_DEADLOCK; ER_CHECKREAD, which
# snapshot isolation adds from 11.6.2 on.
_CONFLICTS = ("40001", "40P01", 1213, 1020)


class Duplicate(Temporary):
    """The row exists already."""


class JournalDatabase:
    """Runs short transactions. Safe to use from several threads at once.

    Args:
        url: an SQLAlchemy URL.
        password_file: its first line is the password; None if none is needed.

    Raises:
        ConfigurationError: the URL is invalid, its database has no driver here, or the password cannot be read.
    """

    def __init__(self, url: str, password_file: Path | None = None) -> None:
        self._engine, self._file, self._name = engine_of(url, password_file, _TIMEOUT)
        self._is_server = self._engine.dialect.name != "sqlite"
        self._transactions = Transactions(self._engine, _TIMEOUT)
        self.url = self._engine.url
        self._schema = Schema(0)
        self._read_version_at = 0.0
        self._breaker = Breaker(self._name)
        self._health = Health()
        self._is_open = False
        self._opening = threading.Lock()
        self._writing = threading.Lock()
        self._generation = 0  # how often dropped tables were created again
        self._lost = ""  # the file that was lost, until it is logged
        self._logged: dict[str, float] = {}  # problems, and when they were logged
        with contextlib.suppress(Temporary):  # it is logged
            self.read(lambda _connection: None)

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """The result of `work` in a transaction of its own.

        Args:
            work: is run again if it fails for a lost connection, a dropped table, or a conflict with another one.

        Raises:
            Duplicate: a row exists already.
            Temporary: the database cannot be used.
        """
        return self._write(lambda: self._begin(work, locks=True))

    def run(self, *commands: Command, is_durable: bool = True) -> None:
        """`write` for commands that are run for every new user. See `Transactions.run`."""
        self._write(lambda: self._transactions.run(*commands, is_durable=is_durable))

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """`write` for work that changes nothing."""
        return self._noted(lambda: self._called(partial(self._begin, work)))

    def ask(self, query: Command) -> list[Any]:
        """`read` for a query that is run for every user who is not in the mailbox cache. See `Transactions.ask`."""
        return self._noted(lambda: self._called(lambda: self._transactions.ask(query)))

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

    @property
    def state(self) -> dict[str, Any]:
        """Whether it answers: see `Health.snapshot`. And its `version`, 0 if unknown, that of this `program`,
        and their `difference` in words."""
        schema = self._schema
        versions = {"version": schema.version, "program": journal_schema.VERSION}
        return {**self._health.snapshot(), **versions, "difference": schema.difference}

    def locks(self, is_shared: bool) -> SessionLocks | FileLocks | None:
        """Locks among all that use this database, to be closed by the caller. See `journal_sharing`."""
        return journal_sharing.locks_of(self.url, is_shared, _TIMEOUT, self._breaker)

    def channel(self, is_shared: bool) -> PostgresChannel | LocalChannel | None:
        """Passes messages on to all that use this database. See `journal_sharing`."""
        return journal_sharing.channel_of(self.url, is_shared, _TIMEOUT)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _write(self, work: Callable[[], T]) -> T:
        result = self._noted(lambda: self._in_turn(work))
        if self._logged:
            self._logged.clear()  # not after a read: a database that is full can still be read
        return result

    def _noted(self, work: Callable[[], T]) -> T:
        try:
            result = work()
        except Duplicate:
            raise
        except Temporary as error:
            # Not by the breaker, to which a quick failure is none.
            self._health.failed(str(error))
            raise
        self._health.answered()
        return result

    def _in_turn(self, work: Callable[[], T]) -> T:
        if self._is_server:
            return self._called(work)
        # The turn comes before the breaker: whoever waited while another's time ran out does not do so again.
        if not self._writing.acquire(timeout=_TIMEOUT):
            raise Temporary(f"{self._name} cannot be used: this process writes too slowly to it")
        try:
            return self._called(work)
        finally:
            self._writing.release()

    def _called(self, work: Callable[[], T]) -> T:
        return self._breaker.call(lambda: self._run(work))

    def _run(self, work: Callable[[], T]) -> T:
        in_time = time.monotonic() + _TIMEOUT * 0.9
        with self._translated():
            self._ensure_open()
            generation = self._generation
            try:
                return self._once(work, in_time)
            except IntegrityError:
                raise
            except SQLAlchemyError as error:
                if time.monotonic() > in_time or not self._may_retry(error, generation):
                    raise
                return self._once(work, in_time)

    def _once(self, work: Callable[[], T], in_time: float) -> T:
        """Run the transaction, and again while a server gives it up in favour of another one."""
        while True:
            try:
                return work()
            except DBAPIError as error:
                if not is_conflict(error) or time.monotonic() > in_time:
                    raise

    def _begin(self, work: Callable[[sa.Connection], T], locks: bool = False) -> T:
        with self._engine.begin() as connection:
            if locks:
                begin_writing(connection, _TIMEOUT)
            return work(connection)

    def _may_retry(self, error: SQLAlchemyError, generation: int) -> bool:
        """Had the server dropped an idle connection, or somebody dropped tables?

        Args:
            generation: of the tables, as it was when the work began.
        """
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return True
        if not self._opening.acquire(timeout=_TIMEOUT):
            return False
        try:
            if self._generation == generation and (dropped := self._dropped_tables()):
                self._prepare()
                self._generation += 1
                self._log_loss(
                    f"its tables {', '.join(dropped)} were dropped and have been created again"
                )
            return self._generation != generation
        except SQLAlchemyError:
            return False
        finally:
            self._opening.release()

    def _dropped_tables(self) -> list[str]:
        return self._begin(lambda it: journal_schema.dropped(it, self._schema.version))

    def _ensure_open(self) -> None:
        """Open the database; reopen it if its file was replaced, or to read its version again.

        SQLite would go on writing to a file that nobody can read again.
        """
        if self._is_ready():
            return
        if not self._opening.acquire(timeout=_TIMEOUT):
            raise Temporary(f"{self._name} is still being opened")
        try:
            if self._is_ready():
                return  # another thread did it
            if self._is_open and (lost := self._file.lost):
                self._is_open = False
                self._lost = lost
                self._file.closed()
                self._drop_connections()
            if self._is_open:
                self._prepare()
            else:
                self._open()
        finally:
            self._opening.release()

    def _is_ready(self) -> bool:
        is_recent = time.monotonic() - self._read_version_at < _BETWEEN_VERSIONS
        return self._is_open and is_recent and not self._file.lost

    def _drop_connections(self) -> None:
        """Close all connections. Closing the last one writes the contents of a lost -wal to the database."""
        until = time.monotonic() + _TIMEOUT
        pool = self._engine.pool
        assert isinstance(pool, sa.QueuePool)
        while pool.checkedout() and time.monotonic() < until:
            time.sleep(0.01)
        self._engine.dispose()

    def _open(self) -> None:
        """Create the file and its tables where they are missing."""
        self._file.make()
        self._prepare()
        self._file.opened()
        self._is_open = True
        if self._lost:
            self._log_loss(f"{self._lost} was removed or replaced; it has been reopened")
            self._lost = ""

    def _prepare(self) -> None:
        """Read the version, and upgrade the journal if the programs that use it can go on."""
        try:
            self._schema = self._upgraded()
        except Unusable as error:
            self._is_open = False  # until then, each operation looks again
            text = f"{self._name} cannot be used: {error}"
            self._log(text, error.remedy)
            raise Temporary(text) from error
        self._read_version_at = time.monotonic()

    def _upgraded(self) -> Schema:
        schema = self._begin(journal_schema.found)
        schema.require_usable()
        try:
            if journal_schema.steps_from(schema, automatic=True):
                self._upgrade()
        except SQLAlchemyError as error:
            if schema.version < journal_schema.OLDEST_USABLE or schema.missing:
                raise
            self._log_older(schema, in_words(error))
            return schema
        schema = self._begin(journal_schema.found)
        if schema.version < journal_schema.OLDEST_USABLE:
            raise Unusable(f"its {schema.difference}", "run autocreate journal upgrade")
        return schema

    def _upgrade(self) -> None:
        """An MTA with an earlier version, which has no lock for this, may be creating each table, too."""
        in_time = time.monotonic() + _TIMEOUT * 0.9
        for left in reversed(range(len(journal_schema.STEPS))):
            try:
                self._begin(partial(journal_schema.upgrade, automatic=True))
                return
            except SQLAlchemyError:
                if not left or time.monotonic() > in_time:
                    raise

    def _log_older(self, schema: Schema, why: str) -> None:
        if self._schema.version != schema.version:  # once
            log.warning(
                "%s: its %s, and cannot be upgraded by this program: %s; it is used as it is; to fix it, "
                "run autocreate journal upgrade as a database user who may create tables",
                *(self._name, schema.difference, why),
            )

    def _log_loss(self, what: str) -> None:
        log.error("%s: %s; autocreate audit --trees shows what was unfinished", self._name, what)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        except IntegrityError as error:
            raise Duplicate(f"{self._name}: {error.orig}") from error
        except SQLAlchemyError as error:
            text = f"{self._name} cannot be used: {in_words(error)}"
            self._log(text, self._remedy(getattr(error, "orig", None)))
            is_slow = time.monotonic() - begun > _SLOW
            raise (ServerTimeout if is_slow else Temporary)(text) from error

    def _remedy(self, reason: BaseException | None) -> str:
        code = getattr(reason, "sqlite_errorcode", 0) & 0xFF
        return _SERVER_REMEDY if self._is_server else _REMEDIES.get(code, "run autocreate doctor")

    def _log(self, problem: str, remedy: str) -> None:
        now = time.monotonic()
        if now - self._logged.get(problem, -_AGAIN) < _AGAIN:
            return
        self._logged[problem] = now
        log.error(
            "%s; meanwhile new users get 451, and mail to existing mailboxes is accepted; to fix it, %s",
            *(problem, remedy),
        )


def is_conflict(error: DBAPIError) -> bool:
    """Did the server roll a transaction back that will succeed if it is run again?

    On MariaDB even two inserts into one gap can deadlock; see "How to Minimize and Handle Deadlocks" in the
    manual of MySQL, and "40" in the table of PostgreSQL's error codes.
    """
    code = getattr(error.orig, "sqlstate", None) or next(
        iter(getattr(error.orig, "args", ())), None
    )
    return code in _CONFLICTS
