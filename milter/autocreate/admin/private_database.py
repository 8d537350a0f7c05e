"""A private database on disk, which disappears when it is closed: what is kept there takes no memory."""

import sqlite3
from collections.abc import Iterator
from types import TracebackType
from typing import Self


class PrivateDatabase:
    """A context manager around an SQLite database that nobody else can open.

    Args:
        statements: make its tables.
        for_threads: several threads use it; they must not write at once.
    """

    def __init__(self, *statements: str, for_threads: bool = False) -> None:
        # An empty name is a temporary file of SQLite's own (sqlite.org/inmemorydb.html).
        self._database = sqlite3.connect(
            "", isolation_level=None, check_same_thread=not for_threads
        )
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
        self._database.close()

    def _count(self, what: str) -> int:
        """The number of rows of a table or a query in parentheses."""
        (count,) = self._database.execute(f"SELECT count(*) FROM {what}").fetchone()
        return int(count)

    def _users(self, query: str) -> Iterator[str]:
        """The users that a query finds, in order."""
        for (user,) in self._database.execute(f"{query} ORDER BY 1"):
            yield str(user)
