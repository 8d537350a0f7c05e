"""Which accounts in an SQL database were changed, by the administrator's query."""

import re
from collections.abc import Iterator

import sqlalchemy as sa

from autocreate.backends.options import SqlOptions
from autocreate.backends.sql import Database, text_of

# As SQLAlchemy finds a parameter: not in `changed::since`.
_SINCE = re.compile(r"(?<![:\w\\]):since(?![\w:])")

# Searches after which the database is opened anew: it remembers each statement, and no two are the same.
_RENEWED = 1000


class SqlChanges:
    """Accounts that a query finds by the time of their last change. It is for one thread.

    Args:
        server: the database.
        query: selects user ids, one per row; `:since` is a time in seconds since the epoch.

    Raises:
        ConfigurationError: see `Database`.
    """

    def __init__(self, server: SqlOptions, query: str) -> None:
        self._server = server
        self._query = query
        self._database = Database(server)
        self._searches = 0

    def since(self, moment: int) -> Iterator[str]:
        """The names of accounts that were changed at this time or later.

        They come as they are read: one UPDATE may have changed every account.

        Raises:
            Temporary: see `Database.stream`.
        """
        # A number cannot change the meaning of a query, and every database takes it for what it needs.
        query = sa.text(_SINCE.sub(str(moment), self._query))
        self._searches += 1
        if self._searches % _RENEWED == 0:
            self._database.close()
            self._database = Database(self._server)
        for row in self._database.stream(query):
            if row[0] is not None:
                yield text_of(row[0])

    def close(self) -> None:
        """Close the database."""
        self._database.close()
