"""Accounts in a database, by a query of the administrator's. SQLite is the embedded default."""

from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from autocreate.errors import ConfigurationError, Temporary
from autocreate.model import Account


class SqlSource:
    """Users that a query finds.

    Args:
        name: what the configuration calls this source.
        url: an SQLAlchemy database URL.
        query: takes the user id as `:user` and selects it as its first column, in one row at most.
        groups_query: takes `:user` and selects one group name a row; None for no groups.
        timeout: seconds to wait for a locked SQLite database.

    Raises:
        ConfigurationError: the URL names a database that SQLAlchemy, or this machine, has no driver
            for.
    """

    def __init__(
        self, name: str, url: str, query: str, groups_query: str | None = None, timeout: float = 5.0
    ) -> None:
        self.name = name
        self._query = sa.text(query)
        self._groups_query = sa.text(groups_query) if groups_query else None
        try:
            self._engine = _engine(make_url(url), timeout)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise ConfigurationError(f"accounts.{name}.url", [str(error)]) from error

    def lookup(self, user: str) -> Account | None:
        """See `AccountSource.lookup`."""
        rows = self._select(self._query, user)
        if not rows:
            return None
        if len(rows) > 1:
            raise Temporary(f"query found more than one row for {user!r}")
        # Collations find `Joe` or `joe ` for `joe`, whose mailbox would be another one.
        if rows[0] != user:
            raise Temporary(
                f"query answered {rows[0]!r} when asked for {user!r}: its first column must be the "
                "user id, spelled as Cyrus spells it"
            )
        return Account(user, self.name)

    def groups(self, account: Account) -> frozenset[str]:
        """See `AccountSource.groups`."""
        if self._groups_query is None:
            return frozenset()
        return frozenset(map(str, self._select(self._groups_query, account.user)))

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def _select(self, query: sa.TextClause, user: str) -> list[object]:
        """The first column of all rows."""
        try:
            with self._engine.connect() as connection:
                return list(connection.execute(query, {"user": user}).scalars())
        except (SQLAlchemyError, UnicodeError) as error:
            reason = getattr(error, "orig", None) or error
            raise Temporary(f"{_shown(self._engine.url)}: {reason}") from error


def _engine(url: URL, timeout: float) -> Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    # Read only, so that a missing file is an error and not a new, empty database; and opened for
    # each look-up, so that a file that was replaced is noticed.
    if url.database and not url.database.startswith("file:"):
        location = f"file:{quote(url.database)}"
        url = url.set(database=location, query={**url.query, "mode": "ro", "uri": "true"})
    return sa.create_engine(url, poolclass=sa.NullPool, connect_args={"timeout": timeout})


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)
