"""Aliases in a database, by a query of the administrator's."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from autocreate.accounts.database import Database
from autocreate.breaker import Breaker
from autocreate.core.aliases import Found
from autocreate.core.aliastext import folded, key_parts


class SqlTable:
    """Aliases that a query finds.

    The query takes a key as `:key`, what precedes and follows its `@` as `:local` and `:domain`. They are
    bound, never pasted in.

    Args:
        name: what the configuration calls this table.
        query: selects a target a row; further columns do not count.
        url, password_file, timeout, connections: see `Database`.

    Raises:
        ConfigurationError: see `Database`.
    """

    def __init__(
        self,
        name: str,
        url: str,
        query: str,
        password_file: Path | None = None,
        timeout: float = 2.0,
        connections: int = 4,
    ) -> None:
        self.name = name
        self._query = sa.text(query)
        self._database = Database(f"aliases.{name}", url, password_file, timeout, connections)
        self._breaker = Breaker(str(self._database))

    def find(self, keys: Sequence[str]) -> Found:
        """See `AliasTable.find`."""
        for position, key in enumerate(map(folded, keys)):
            if rows := self._breaker.call(partial(self._rows, key)):
                return Found(position, ", ".join(str(row[0]) for row in rows if row[0] is not None))
        return Found()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _rows(self, key: str) -> Sequence[sa.Row[Any]]:
        return self._database.select(self._query, key_parts(key))
