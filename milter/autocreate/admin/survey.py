"""Long lists of users side by side: those with an account, those with a mailbox, those to have none.

They are on disk: the memory that a survey takes does not grow with the number of users.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from autocreate.admin.private_database import PrivateDatabase

_BATCH = 1000  # rows

_WITHOUT_MAILBOX = (
    "SELECT user FROM accounts EXCEPT SELECT user FROM mailboxes EXCEPT SELECT user FROM exempt"
)
_WITH_BOTH = "SELECT user FROM accounts INTERSECT SELECT user FROM mailboxes"


class Survey(PrivateDatabase):
    """A context manager. For one thread at a time."""

    def __init__(self) -> None:
        names = ("accounts", "mailboxes", "exempt")
        super().__init__(
            *(f"CREATE TABLE {it} (user TEXT PRIMARY KEY) WITHOUT ROWID" for it in names),
            "CREATE TABLE failed_lookups (user TEXT PRIMARY KEY, error TEXT) WITHOUT ROWID",
            "CREATE TABLE unsorted (user TEXT)",
        )

    def add_accounts(self, users: Iterable[str]) -> None:
        """Users who have an account. Each counts once, however often it is added."""
        self._add("accounts", users)

    def add_mailboxes(self, users: Iterable[str]) -> None:
        """Users who have a mailbox."""
        self._add("mailboxes", users)

    def add_exempt(self, users: Iterable[str]) -> None:
        """Users who are to have no mailbox, and are not counted among those without one."""
        self._add("exempt", users)

    def add_failed_lookup(self, user: str, error: Exception) -> None:
        """A user of whom it is not known whether they belong to the accounts."""
        row = (user, str(error))
        self._database.execute("INSERT OR REPLACE INTO failed_lookups VALUES (?, ?)", row)

    def failed_lookups(self) -> Iterator[tuple[str, str]]:
        """(user, error) of each failed lookup, in order."""
        yield from self._database.execute("SELECT user, error FROM failed_lookups ORDER BY 1")

    @property
    def exempt(self) -> int:
        return self._count("exempt")

    @property
    def accounts(self) -> int:
        return self._count("accounts")

    @property
    def mailboxes(self) -> int:
        return self._count("mailboxes")

    def count_failed_lookups(self) -> int:
        """How many lookups failed."""
        return self._count("failed_lookups")

    def count_without_mailbox(self) -> int:
        """How many accounts have no mailbox and should have one."""
        return self._count(f"({_WITHOUT_MAILBOX})")

    def count_with_both(self) -> int:
        """How many accounts have a mailbox."""
        return self._count(f"({_WITH_BOTH})")

    def has_account(self, user: str) -> bool:
        """Is this user among the accounts?"""
        query = "SELECT 1 FROM accounts WHERE user = ?"
        return self._database.execute(query, (user,)).fetchone() is not None

    def has_both(self, user: str) -> bool:
        """Has this user an account and a mailbox?"""
        query = "SELECT 1 FROM accounts JOIN mailboxes USING (user) WHERE user = ?"
        return self._database.execute(query, (user,)).fetchone() is not None

    def everyone(self) -> Iterator[str]:
        """All accounts, in order."""
        return self._users("SELECT user FROM accounts")

    def without_mailbox(self) -> Iterator[str]:
        """Accounts without a mailbox that should have one, in order."""
        return self._users(_WITHOUT_MAILBOX)

    def without_account(self) -> Iterator[str]:
        """Mailboxes without an account, in order."""
        return self._users("SELECT user FROM mailboxes EXCEPT SELECT user FROM accounts")

    def with_both(self) -> Iterator[str]:
        """Accounts with a mailbox, in order."""
        return self._users(_WITH_BOTH)

    def _add(self, table: str, users: Iterable[str]) -> None:
        """Add users to a table, once all of them are known: `users` may read the same tables.

        They are sorted first. One by one in any order, each would change another page of the table,
        which takes twice as long once the table outgrows SQLite's page cache.
        """
        database = self._database
        rows = ((user,) for user in users)
        while batch := list(islice(rows, _BATCH)):
            database.execute("BEGIN")
            database.executemany("INSERT INTO unsorted VALUES (?)", batch)
            database.execute("COMMIT")
        database.execute(f"INSERT OR IGNORE INTO {table} SELECT user FROM unsorted ORDER BY 1")
        database.execute("DELETE FROM unsorted")
