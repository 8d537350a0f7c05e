"""Long lists of users laid side by side: those with an account, those with a mailbox, those to have none.

They are kept in a private database on disk that is gone when it is closed, so that the memory that a
survey takes does not grow with the number of users.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from types import TracebackType

_AT_ONCE = 1000  # rows

_WITHOUT = (
    "SELECT user FROM accounts EXCEPT SELECT user FROM mailboxes EXCEPT SELECT user FROM excused"
)


class Survey:
    """A context manager. For one thread at a time."""

    def __init__(self) -> None:
        # An empty name is a temporary file of SQLite's own (sqlite.org/inmemorydb.html).
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("CREATE TABLE accounts (user TEXT PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("CREATE TABLE mailboxes (user TEXT PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("CREATE TABLE excused (user TEXT PRIMARY KEY) WITHOUT ROWID")
        self._database.execute(
            "CREATE TABLE doubts (user TEXT PRIMARY KEY, why TEXT) WITHOUT ROWID"
        )

    def __enter__(self) -> "Survey":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def add_accounts(self, users: Iterable[str]) -> None:
        """Who has an account. Each counts once, however often it is named."""
        self._add("accounts", users)

    def add_mailboxes(self, users: Iterable[str]) -> None:
        """Who has a mailbox."""
        self._add("mailboxes", users)

    def exclude(self, users: Iterable[str]) -> None:
        """Who is to have no mailbox, and is not missed among those without."""
        self._add("excused", users)

    def add_doubt(self, user: str, why: Exception) -> None:
        """Of whom it cannot be told whether they count."""
        self._database.execute("INSERT OR REPLACE INTO doubts VALUES (?, ?)", (user, str(why)))

    def doubts(self) -> Iterator[tuple[str, str]]:
        """Each with the reason, in order."""
        yield from self._database.execute("SELECT user, why FROM doubts ORDER BY 1")

    @property
    def exempt(self) -> int:
        return self._count("excused")

    @property
    def accounts(self) -> int:
        return self._count("accounts")

    @property
    def mailboxes(self) -> int:
        return self._count("mailboxes")

    def count_without_mailbox(self) -> int:
        """How many accounts have no mailbox and should."""
        return self._count(f"({_WITHOUT})")

    def count_with_both(self) -> int:
        """How many accounts have a mailbox."""
        return self._count("(SELECT user FROM accounts INTERSECT SELECT user FROM mailboxes)")

    def has_both(self, user: str) -> bool:
        """Has this user an account and a mailbox?"""
        query = "SELECT 1 FROM accounts JOIN mailboxes USING (user) WHERE user = ?"
        return self._database.execute(query, (user,)).fetchone() is not None

    def without_mailbox(self) -> Iterator[str]:
        """Accounts without a mailbox that should have one, in order."""
        return self._users(_WITHOUT)

    def everyone(self) -> Iterator[str]:
        """All accounts, in order."""
        return self._users("SELECT user FROM accounts")

    def has_account(self, user: str) -> bool:
        """Does this user count?"""
        query = "SELECT 1 FROM accounts WHERE user = ?"
        return self._database.execute(query, (user,)).fetchone() is not None

    def without_account(self) -> Iterator[str]:
        """Mailboxes without an account, in order."""
        return self._users("SELECT user FROM mailboxes EXCEPT SELECT user FROM accounts")

    def with_both(self) -> Iterator[str]:
        """Accounts with a mailbox, in order."""
        return self._users("SELECT user FROM accounts INTERSECT SELECT user FROM mailboxes")

    def _add(self, table: str, users: Iterable[str]) -> None:
        rows = ((user,) for user in users)
        while batch := list(islice(rows, _AT_ONCE)):
            self._database.execute("BEGIN")
            self._database.executemany(f"INSERT OR IGNORE INTO {table} VALUES (?)", batch)
            self._database.execute("COMMIT")

    def _count(self, what: str) -> int:
        (count,) = self._database.execute(f"SELECT count(*) FROM {what}").fetchone()
        return int(count)

    def _users(self, query: str) -> Iterator[str]:
        for (user,) in self._database.execute(f"{query} ORDER BY 1"):
            yield str(user)
