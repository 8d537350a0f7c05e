"""Plans that were reviewed, kept on disk until they are carried out."""

import json
import pickle
import sqlite3
from collections.abc import Iterator
from types import TracebackType

from autocreate.errors import AutocreateError
from autocreate.model import Verdict
from autocreate.tree.plan import as_json, checksum


class Changed(AutocreateError):
    """The plans are not those that were reviewed."""

    exit_status = 65  # EX_DATAERR


class Plans:
    """The verdicts whose plans have something to do. A context manager, for one writing thread at a time."""

    def __init__(self) -> None:
        # An empty name is a temporary file of SQLite's own. Workers only read, and only after all writes.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute(
            "CREATE TABLE plans (user TEXT PRIMARY KEY, json TEXT, verdict BLOB) WITHOUT ROWID"
        )

    def __enter__(self) -> "Plans":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def __len__(self) -> int:
        (count,) = self._database.execute("SELECT count(*) FROM plans").fetchone()
        return int(count)

    def add(self, user: str, verdict: Verdict) -> None:
        """Keep a verdict, if its plan has anything to do."""
        if verdict.plan and verdict.plan.actions:
            text = json.dumps(as_json(verdict.plan), sort_keys=True)
            row = (user, text, pickle.dumps(verdict))
            self._database.execute("INSERT OR REPLACE INTO plans VALUES (?, ?, ?)", row)

    def users(self) -> Iterator[str]:
        """Everyone with a plan, in order."""
        for (user,) in self._database.execute("SELECT user FROM plans ORDER BY user"):
            yield str(user)

    def verdict(self, user: str) -> Verdict:
        """The verdict that was kept for a user."""
        query = "SELECT verdict FROM plans WHERE user = ?"
        (kept,) = self._database.execute(query, (user,)).fetchone()
        verdict: Verdict = pickle.loads(kept)  # written above, into a file that nobody else has
        return verdict

    def checksum(self) -> str:
        """The checksum of all plans. It does not depend on the order in which they came."""
        rows = self._database.execute("SELECT json FROM plans ORDER BY user")
        return checksum(text for (text,) in rows)

    def require(self, reviewed: str) -> None:
        """Make sure that these are the plans that were reviewed.

        Args:
            reviewed: their checksum.

        Raises:
            Changed: they are not.
        """
        if self.checksum() != reviewed:
            raise Changed(
                f"the plans have changed since the review (checksum {self.checksum()}, not {reviewed}): "
                "nothing was done; review the plans again"
            )
