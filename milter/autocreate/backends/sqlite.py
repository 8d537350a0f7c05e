"""An SQLite file that other programs write, and may replace in any way. It is opened read-only.

- A connection is used again only while the file is the same and unchanged. SQLite trusts its page cache as long
  as a counter in the header is the same, and two files that were built alike have the same counter.
- In WAL mode no connection is kept: it would keep the `-wal` of a program that has ended, which SQLite would
  then use with the next file (sqlite.org/howtocorrupt.html).
- An answer counts if nothing wrote to the file during the query and shortly before. A program that copies a
  file takes no lock: meanwhile the file has parts of the old and of the new one, and may lack users of both.
- Programs that use SQLite commit under a lock. If they commit all the time, that counter tells them from a
  copy.
- A `-wal` that is older than its database has nothing new. If it has different data than the database, it
  belongs to another one.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.engine import URL

from autocreate.backends.regular_file import require_regular
from autocreate.backends.sql_drivers import shown
from autocreate.backends.sqlite_file import path_of
from autocreate.errors import PoolExhausted, ServerTimeout, Temporary, Unreachable
from autocreate.resilience.answer_limit import MOST, AnswerTooLong, limited_rows
from autocreate.resilience.exception_map import ExceptionMap, map_exceptions

# Seconds without a change after which no copy is under way: cp(1) writes every few milliseconds.
_QUIET = 0.25
_BETWEEN_LOOKS = 0.05

# Primary result codes (sqlite.org/rescode.html): another process holds the file.
_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}

Answer = tuple[tuple[str, ...], list[Any]]


class _State(NamedTuple):
    """Identifies a state of a file; `changed` is the time of the last change in nanoseconds."""

    device: int
    inode: int
    size: int
    changed: int


class SqliteReader:
    """Runs queries on a file. Safe to call from several threads at once.

    Args:
        url: an SQLAlchemy URL with `sqlite`.
        timeout: seconds for an answer, and to wait while another process locks or writes the file.
        connections: how many may be open at once.
    """

    def __init__(self, url: URL, timeout: float, connections: int) -> None:
        self._name = shown(url)
        if url.database and not url.database.startswith("file:"):
            # Read only, so that a missing file is an error and not a new, empty database.
            location = f"file:{quote(url.database)}"
            url = url.set(database=location, query={**url.query, "mode": "ro", "uri": "true"})
        self._dialect = pysqlite.dialect(dbapi=sqlite3)
        (self._database,), options = self._dialect.create_connect_args(url)
        self._prepare: Any = self._dialect.on_connect()  # for REGEXP
        self._options = {**options, "isolation_level": None, "check_same_thread": False}
        self.path = path_of(self._database)
        self._wal = f"{self.path}-wal"
        self._timeout = timeout
        self._connections = connections
        self._free = threading.BoundedSemaphore(connections)
        self._idle: deque[tuple[_State, sqlite3.Connection]] = deque()
        self._statements: dict[sa.TextClause, tuple[str, list[str]]] = {}
        self._last: tuple[_State | None, float] = (
            None,
            0.0,
        )  # the state, and when it was seen first

    def __str__(self) -> str:
        return self._name

    def select(self, query: sa.TextClause, parameters: Mapping[str, str]) -> Answer:
        """The names of the columns, and all rows that a query finds.

        Raises:
            Unreachable: the file cannot be opened; `ServerTimeout` if others lock it, or keep writing it.
            PoolExhausted: no connection became free in time.
            Temporary: any other error, such as a missing table.
        """
        until = time.monotonic() + self._timeout
        with self._slot(), map_exceptions(_ERRORS, self):
            while True:
                state = self._settled(until)
                connection = self._take(state) or self._open(self._database, until)
                with contextlib.ExitStack() as undo:
                    undo.callback(connection.close)
                    answer = self._ask(connection, query, parameters)
                    if _look(self.path) != state:
                        continue
                    wal = _status(self._wal)
                    if state and wal and wal.st_size and wal.st_mtime_ns <= state.changed:
                        self._compare_without_wal(answer, query, parameters, until)
                    if state and not wal and self._is_quiet(state):
                        undo.pop_all()
                        self._idle.append((state, connection))
                    return answer

    def stream(self, query: sa.TextClause) -> Iterator[Any]:
        """All rows that a query finds, one by one.

        Raises:
            Unreachable, PoolExhausted, Temporary: as `select`; at the end if the file was replaced meanwhile.
        """
        until = time.monotonic() + self._timeout
        statement, _ = self._statement(query)
        with self._slot(), map_exceptions(_ERRORS, self):
            before = self._settled(until)
            with contextlib.closing(self._open(self._database, until)) as connection:
                connection.execute("BEGIN")
                yield from connection.execute(statement)
                ((mode,),) = connection.execute("PRAGMA journal_mode")
                # Programs that use SQLite cannot commit meanwhile, but in WAL mode they can checkpoint.
                if mode != "wal" and _look(self.path) != before:
                    raise Temporary(f"{self} was replaced while it was read")

    def close(self) -> None:
        """Close every connection."""
        self._take(None)

    def _take(self, state: _State | None) -> sqlite3.Connection | None:
        """An idle connection to this state of the file. Those to other states are closed."""
        while self._idle:
            try:
                opened, connection = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if opened == state:
                return connection
            connection.close()
        return None

    def _ask(
        self, connection: sqlite3.Connection, query: sa.TextClause, parameters: Mapping[str, str]
    ) -> Answer:
        statement, names = self._statement(query)
        cursor = connection.execute(statement, [parameters[name] for name in names])
        columns = tuple(column[0] for column in cursor.description or ())
        return columns, list(limited_rows(cursor))

    def _statement(self, query: sa.TextClause) -> tuple[str, list[str]]:
        """The query in SQLite's syntax, and the names of its parameters in order."""
        if query not in self._statements:
            compiled = query.compile(dialect=self._dialect)
            self._statements[query] = str(compiled), list(compiled.positiontup or ())
        return self._statements[query]

    def _open(self, database: str, until: float) -> sqlite3.Connection:
        left = max(0.0, until - time.monotonic())
        connection: sqlite3.Connection = sqlite3.connect(
            database, **{**self._options, "timeout": left}
        )
        self._prepare(connection)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST)
        # The file's own views may not call our functions: REGEXP can stop this program for hours.
        connection.execute("PRAGMA trusted_schema=OFF")
        return connection

    def _settled(self, until: float) -> _State | None:
        """The state of the file, once no other file is being copied over it."""
        state = _look(self.path)
        if state is None or self._is_quiet(state):
            return state
        with contextlib.closing(self._open(self._database, until)) as witness:
            commits = _commits(witness)
            while time.monotonic() < until:
                time.sleep(_BETWEEN_LOOKS)
                state = _look(self.path)
                # A copy writes the header once, and first.
                if state is None or self._is_quiet(state) or _commits(witness) != commits:
                    return state
        raise ServerTimeout(f"{self} was being written for {self._timeout:g} s")

    def _is_quiet(self, state: _State) -> bool:
        if state != self._last[0]:
            self._last = state, time.monotonic()
        seconds, fraction = divmod(state.changed, 10**9)
        # Some file systems store whole seconds only.
        quiet = _QUIET if fraction else _QUIET + 1.0
        if time.time() - seconds - fraction / 1e9 >= quiet:
            return True
        # The last change may be in the future, if the clock was set back since.
        return time.monotonic() - self._last[1] >= quiet

    def _compare_without_wal(
        self, answer: Answer, query: sa.TextClause, parameters: Mapping[str, str], until: float
    ) -> None:
        location = f"file:{quote(self.path)}?mode=ro&immutable=1"
        try:
            with contextlib.closing(self._open(location, until)) as connection:
                alone = self._ask(connection, query, parameters)
        except sqlite3.Error:
            alone = (), []
        if alone != answer:
            raise Temporary(
                f"{self} has other data than its -wal, which is older: if the file was replaced, stop "
                f"the programs that use it, remove {self._wal} and {self.path}-shm, and replace it again"
            )

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._free.acquire(timeout=self._timeout):
            busy = f"{self}: all {self._connections} connections are busy"
            raise PoolExhausted(f"{busy} for {self._timeout:g} s")
        try:
            yield
        finally:
            self._free.release()


def _missing_parameter(reader: SqliteReader, error: KeyError) -> Temporary:
    return Temporary(f"{reader}: the query has a parameter {error} that does not exist")


def _failed(reader: SqliteReader, error: Exception) -> Temporary:
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_READONLY_ROLLBACK:
        return Temporary(
            f"{reader}: a program that wrote to it was killed, and left {reader.path}-journal: open "
            "the file once with sqlite3(1), as a user who may write to it; if the file was "
            "replaced since, remove the -journal"
        )
    kind = Temporary
    if code & 0xFF in _HELD:
        kind = ServerTimeout
    elif code & 0xFF == sqlite3.SQLITE_CANTOPEN:
        kind = Unreachable
    return kind(f"{reader}: {error}")


# The driver knows one class for many errors: its code says which.
_ERRORS: ExceptionMap[SqliteReader] = {
    KeyError: _missing_parameter,
    sqlite3.Error: _failed,
    sqlite3.Warning: _failed,
    UnicodeError: _failed,
    AnswerTooLong: _failed,
}


def _look(path: str) -> _State | None:
    """The state of a file; None if it does not exist. A copy never has the `ctime` of the original: see
    inode(7)."""
    found = _status(path)
    if found is None:
        return None
    try:
        require_regular(found, path)
    except OSError as error:
        raise Unreachable(f"{path} {error.strerror}") from error
    return _State(found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _commits(witness: sqlite3.Connection) -> Any:
    """A number that changes at each commit (sqlite.org/pragma.html#pragma_data_version)."""
    return witness.execute("PRAGMA data_version").fetchone()
