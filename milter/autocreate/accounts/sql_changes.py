"""Which accounts in an SQL database were changed, by the administrator's query."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from autocreate.backends.options import SqlOptions
from autocreate.backends.sql import Database, text_of


class SqlChanges:
    """Accounts that a query finds by the time of their last change. It has a connection of its own.

    Args:
        server: the database.
        query: selects user ids, one per row; `:since` is a time in seconds since the epoch.

    Raises:
        ConfigurationError: see `Database`.
    """

    def __init__(self, server: SqlOptions, query: str) -> None:
        # Whole seconds, so that an index on a column of integers can be used; 64 bits, for the time after 2038.
        self._query = sa.text(query).bindparams(sa.bindparam("since", type_=sa.BigInteger()))
        self._database = Database(server)

    def since(self, moment: int) -> Iterator[str]:
        """The names of accounts that were changed at this time or later.

        Raises:
            Temporary: see `Database.select`.
        """
        values: dict[str, Any] = {"since": moment}
        rows = self._database.select(self._query, values)
        return (text_of(row[0]) for row in rows if row[0] is not None)

    def close(self) -> None:
        """Close the database."""
        self._database.close()
