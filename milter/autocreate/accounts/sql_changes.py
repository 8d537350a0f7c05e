"""Which accounts in an SQL database were changed, by the administrator's query."""

import re
from collections.abc import Iterator
from contextlib import closing

import sqlalchemy as sa

from autocreate.backends.options import SqlOptions
from autocreate.backends.sql import Database, text_of

# As SQLAlchemy finds a parameter: not in `changed::since`.
_SINCE = re.compile(r"(?<![:\w\\]):since(?![\w:])")


class SqlChanges:
    """Accounts that a query finds by the time of their last change.

    Args:
        server: the database.
        query: selects user ids, one per row; `:since` is a time in seconds since the epoch.

    Raises:
        ConfigurationError: see `Database`.
    """

    def __init__(self, server: SqlOptions, query: str) -> None:
        self._server = server
        self._query = query
        Database(server).close()  # is there a driver?

    def since(self, moment: int) -> Iterator[str]:
        """The names of accounts that were changed at this time or later.

        They come as they are read: one UPDATE may have changed every account. Each search has a connection of its
        own, since it is rare.

        Raises:
            Temporary: see `Database.stream`.
        """
        # A number cannot change the meaning of a query, and every database takes it for what it needs.
        query = sa.text(_SINCE.sub(str(moment), self._query))
        with closing(Database(self._server)) as database:
            for row in database.stream(query):
                if row[0] is not None:
                    yield text_of(row[0])

    def close(self) -> None:
        """Nothing is open."""
