"""Accounts in an SQL database, found by the administrator's query."""

from collections.abc import Iterator

import sqlalchemy as sa

from autocreate.accounts import account_of
from autocreate.backends.options import SqlOptions
from autocreate.backends.sql import Database, Rows, text_of
from autocreate.core.naming import Users
from autocreate.errors import Temporary
from autocreate.model import Account


class SqlSource:
    """Users that a query finds.

    In queries, `:user` is the user id, `:local` and `:domain` are the parts before and after its `@`. They
    are bound parameters.

    Args:
        name: what the configuration calls this source.
        server: the database.
        users: how the names of accounts become user ids.
        query: selects the user id as the first column, in at most one row. Further columns become
            attributes of the account.
        groups_query: selects the names of groups, one per row; None: no groups.
        list_query: selects all user ids, one per row; None: users cannot be listed.

    Raises:
        ConfigurationError: see `Database`.
    """

    def __init__(
        self,
        name: str,
        server: SqlOptions,
        users: Users,
        *,
        query: str,
        groups_query: str | None,
        list_query: str | None,
    ) -> None:
        self.name = name
        self._users = users
        self.has_groups = groups_query is not None
        self._query = sa.text(query)
        self._groups_query = sa.text(groups_query) if groups_query else None
        self._list_query = sa.text(list_query) if list_query else None
        self._database = Database(server)

    def lookup(self, user: str) -> Account | None:
        """See `AccountSource.lookup`."""
        rows = self._select(self._query, user)
        if not rows:
            return None
        if len(rows) > 1:
            raise Temporary(f"query found {len(rows)} rows for {user!r} instead of one")
        answered = [text_of(value) for value in rows[0][:1] if value is not None]
        further = list(zip(rows.columns, rows[0], strict=True))[1:]
        attributes = tuple(
            (column.lower(), text_of(value)) for column, value in further if value is not None
        )
        try:
            return account_of(user, self.name, answered, self._users, attributes)
        except Temporary as error:
            raise Temporary(f"query answered {error}") from error

    def groups(self, account: Account) -> frozenset[str]:
        """See `AccountSource.groups`."""
        if self._groups_query is None:
            return frozenset()
        # A case-sensitive column may have either spelling.
        rows = [row for name in account.spellings for row in self._select(self._groups_query, name)]
        return frozenset(text_of(row[0]) for row in rows if row[0] is not None)

    def names(self) -> Iterator[str] | None:
        """See `AccountSource.names`."""
        if self._list_query is None:
            return None
        rows = self._database.stream(self._list_query)
        return (text_of(row[0]) for row in rows if row[0] is not None)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _select(self, query: sa.TextClause, user: str) -> Rows:
        if "\0" in user:
            return Rows(
                (), []
            )  # Cyrus can have no such user, and PostgreSQL would call it an error
        local, _, domain = user.partition("@")
        return self._database.select(query, {"user": user, "local": local, "domain": domain})
