"""A private database on disk, which disappears when it is closed: what is kept there takes no memory."""

import sqlite3
from collections.abc import Iterator
from types import TracebackType
from typing import Self


class PrivateDatabase:
    """A context manager around an SQLite database that nobody else can open, for one thread.

    Two threads that run the same query on one connection can get each other's rows (seen with
    Python 3.13), and a temporary file cannot be opened by a second connection.

    Args:
        statements: make its tables.
    """

    def __init__(self, *statements: str) -> None:
        # An empty name is a temporary file of SQLite's own (sqlite.org/inmemorydb.html).
        self._database = sqlite3.connect("", isolation_level=None)
        for statement in statements:
            self._database.execute(statement)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the database."""
        self._database.close()

    def _count(self, what: str) -> int:
        """The number of rows of a table or a query in parentheses."""
        (count,) = self._database.execute(f"SELECT count(*) FROM {what}").fetchone()
        return int(count)

    def _users(self, query: str) -> Iterator[str]:
        """The users that a query finds, in order."""
        for (user,) in self._database.execute(f"{query} ORDER BY 1"):
            yield str(user)
