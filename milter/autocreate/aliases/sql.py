"""Aliases in an SQL database, found by the administrator's query."""

from collections.abc import Callable

import sqlalchemy as sa

from autocreate.aliases.asked_table import AskedTable
from autocreate.aliases.syntax import abbreviate, key_parts, one_value
from autocreate.backends.options import SqlOptions
from autocreate.backends.sql import Database, text_of
from autocreate.errors import MalformedValue, Temporary


class SqlTable(AskedTable):
    """Aliases that a query finds.

    In the query, `:key` is the key, `:local` and `:domain` are the parts before and after its `@`. They are
    bound parameters.

    Args:
        name: what the configuration calls this table.
        server: the database.
        query: selects the targets, one per row; further columns are ignored.

    Raises:
        ConfigurationError: see `Database`.
    """

    _parts: Callable[[str], dict[str, str]] = staticmethod(key_parts)

    def __init__(self, name: str, server: SqlOptions, *, query: str) -> None:
        self._query = sa.text(query)
        self._database = Database(server)
        super().__init__(name, str(self._database))

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _targets(self, key: str) -> list[str]:
        """The targets of an alias. As in Postfix, a row without one is ignored: many users' rows have none."""
        values = self._values(key)
        try:
            return [target for value in values for target in one_value(value)]
        except MalformedValue as error:
            raise Temporary(f"targets of {key!r}, {abbreviate(values)!r}: {error}") from error

    def _values(self, key: str) -> list[str]:
        rows = self._database.select(self._query, self._parts(key))
        return [text_of(row[0]) for row in rows if row[0] not in (None, "", b"")]
