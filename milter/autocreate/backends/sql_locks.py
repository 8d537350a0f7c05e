"""Named locks on a database server that end with the session that holds them.

One session of a process holds all its locks, so that they cost one connection. When the process dies the
server ends its session, and with it the locks; nothing in a table has to be cleaned up or to run out. Two
calls never wait for each other at the server: whoever wants a lock that is held asks again.

PostgreSQL: "Advisory Locks" in its manual. MySQL and MariaDB: GET_LOCK().
"""

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy.engine import URL
from sqlalchemy.pool import PoolProxiedConnection

from autocreate.backends.sql_drivers import session_engine, shown
from autocreate.errors import ServerTimeout, Temporary
from autocreate.resilience.breaker import Breaker

# Seconds. A failure that takes longer is the server's, to the breaker.
_SLOW = 0.25


class _Words(NamedTuple):
    """How a server is asked.

    Args:
        prepare: makes the server notice soon that the machine of a session is gone.
        take, release: statements whose one value is 1, or True, if it was done.
        key: a lock's name as the server takes it.
    """

    prepare: tuple[str, ...]
    take: str
    release: str
    key: Callable[[bytes], int | str]


def _number(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big", signed=True)


def _text(digest: bytes) -> str:
    return f"autocreate:{digest[:20].hex()}"  # 64 characters at most


# PostgreSQL by itself takes hours to notice that the machine of a session is gone.
NOTICE_DEATH = (
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)
_POSTGRESQL = _Words(
    NOTICE_DEATH,
    "SELECT pg_try_advisory_lock(%s)",
    "SELECT pg_advisory_unlock(%s)",
    _number,
)
# An idle session is ended after a minute, and opened again when it is needed.
_MYSQL = _Words(
    ("SET SESSION wait_timeout = 60",),
    "SELECT GET_LOCK(%s, 0)",
    "SELECT RELEASE_LOCK(%s)",
    _text,
)
_WORDS = {"postgresql": _POSTGRESQL, "mysql": _MYSQL, "mariadb": _MYSQL}


class SessionLocks:
    """Locks by name, in a session of this object's. Safe to use from several threads.

    Args:
        url: of a server for which `has_locks`.
        timeout: seconds for a connection, and for each answer.
        breaker: of the server, which others may use, too.
    """

    def __init__(self, url: URL, timeout: float, breaker: Breaker) -> None:
        self._words = _WORDS[url.get_backend_name()]
        # PostgreSQL's locks are those of a database; MySQL's are those of the server.
        self._place = f"autocreate\0{url.database}\0".encode()
        self._name = f"locks at {shown(url)}"
        self._timeout = timeout
        self._breaker = breaker
        self._engine = session_engine(url, timeout)
        self._connection: PoolProxiedConnection | None = None
        self._turn = threading.Lock()

    def take(self, name: str) -> bool:
        """Take a lock. False if another session has it; this session may take it again.

        Raises:
            Temporary: the server cannot be asked.
        """
        return self._ask(self._words.take, name, again=True)

    def release(self, name: str) -> bool:
        """Give a lock up. False if this session did not have it: it was lost with an earlier session.

        Raises:
            Temporary: the server cannot be asked. Its session is closed, so that the lock is free.
        """
        # A new session has no lock to give up.
        return self._ask(self._words.release, name, again=False)

    def close(self) -> None:
        """End the session, and with it every lock."""
        if self._turn.acquire(timeout=self._timeout):
            try:
                self._drop()
            finally:
                self._turn.release()
        self._engine.dispose()

    def _ask(self, statement: str, name: str, again: bool) -> bool:
        if not self._turn.acquire(timeout=self._timeout):
            raise Temporary(f"{self._name}: too slow")
        try:
            return self._breaker.call(lambda: self._asked(statement, name, again))
        finally:
            self._turn.release()

    def _asked(self, statement: str, name: str, again: bool) -> bool:
        key = self._words.key(hashlib.blake2b(self._place + name.encode()).digest())
        begun = time.monotonic()
        try:
            return self._value(statement, key)
        except Exception as error:  # a driver stumbles over nonsense with whatever comes to hand
            self._drop()
            is_slow = time.monotonic() - begun > _SLOW
            if again and not is_slow:
                # The server may have ended an idle session.
                return self._asked(statement, name, again=False)
            kind = ServerTimeout if is_slow else Temporary
            raise kind(f"{self._name}: {' '.join(str(error).split())}") from error

    def _value(self, statement: str, key: int | str) -> bool:
        if self._connection is None:
            self._connection = self._engine.raw_connection()
            for preparation in self._words.prepare:
                self._execute(preparation, ())
        return bool(self._execute(statement, (key,)))

    def _execute(self, statement: str, values: tuple[Any, ...]) -> Any:
        assert self._connection is not None
        with contextlib.closing(self._connection.cursor()) as cursor:
            cursor.execute(statement, values)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # as above
                connection.invalidate()


def has_locks(url: URL) -> bool:
    """Does the database of a URL have such locks? SQLite has none."""
    return url.get_backend_name() in _WORDS
