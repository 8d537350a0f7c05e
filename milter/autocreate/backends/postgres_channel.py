"""Messages among programs that are connected to one PostgreSQL database: LISTEN and NOTIFY.

psycopg hands messages over by calls from C where others read them; here one thread does all of it, which
Python has started. Only `wake` may be called by others, and it does not touch the connection.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import URL
from sqlalchemy.pool import PoolProxiedConnection

from autocreate.backends.sql_drivers import session_engine, shown
from autocreate.backends.sql_locks import NOTICE_DEATH
from autocreate.backends.waker import Waker

# PostgreSQL takes a payload of less than 8000 bytes.
LONGEST = 7999

_NOTIFY = "SELECT pg_notify(%s, message) FROM unnest(%s::text[]) AS message"


class PostgresChannel:
    """A connection that listens to a channel, and sends to it. For one thread.

    Args:
        url: of the database.
        channel: a name of letters.
        timeout: seconds for a connection, and for each answer.

    Raises:
        Exception, from every method but `wake` and `close`: whatever the driver raises. Call `close` then.
    """

    def __init__(self, url: URL, channel: str, timeout: float) -> None:
        assert channel.isidentifier()
        self._name = f"channel at {shown(url)}"
        self._channel = channel
        self._engine = session_engine(url, timeout)
        self._connection: PoolProxiedConnection | None = None
        self._came: list[str] = []
        self._waker = Waker()

    def __str__(self) -> str:
        return self._name

    def open(self) -> None:
        """Connect, and listen from now on."""
        self._connection = self._engine.raw_connection()
        # What comes while a statement is answered.
        self._driver.add_notify_handler(lambda it: self._came.append(it.payload))
        # A message that is lost in a crash of the server is one that is missed: nothing waits for its disk.
        for statement in (*NOTICE_DEATH, "SET synchronous_commit = off", f"LISTEN {self._channel}"):
            self._driver.execute(statement)

    def send(self, messages: Sequence[str]) -> None:
        """Send messages of at most LONGEST bytes each, to everybody who listens, this connection too."""
        self._driver.execute(_NOTIFY, (self._channel, list(messages)))

    def check(self) -> None:
        """See whether the server answers."""
        self._driver.execute("SELECT 1")

    def receive(self, timeout: float) -> list[str]:
        """The messages that have come, after `timeout` seconds at most; earlier after a `wake`."""
        if not self._came:
            self._wait(timeout)
        came, self._came = self._came, []
        return came

    def wake(self) -> None:
        """End a `receive` that waits. May be called in any thread."""
        self._waker.wake()

    def close(self) -> None:
        """Close the connection. It can be opened again."""
        connection, self._connection = self._connection, None
        self._came = []
        if connection is not None:
            with contextlib.suppress(Exception):  # a driver stumbles over a broken connection
                connection.invalidate()
        self._engine.dispose()

    @property
    def _driver(self) -> Any:
        assert self._connection is not None
        return self._connection.dbapi_connection

    def _wait(self, timeout: float) -> None:
        if self._waker.wait(self._driver.fileno(), timeout):
            connection = self._driver.pgconn
            connection.consume_input()
            while (notice := connection.notifies()) is not None:
                self._came.append(notice.extra.decode("utf-8", "replace"))
