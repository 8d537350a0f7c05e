"""Plans that were reviewed, kept on disk until they are carried out."""

import json
import pickle
from collections.abc import Iterator

from autocreate.admin.private_database import PrivateDatabase
from autocreate.errors import AutocreateError
from autocreate.model import Verdict
from autocreate.tree.plan import as_json, checksum


class Changed(AutocreateError):
    """The plans are not those that were reviewed."""

    exit_status = 65  # EX_DATAERR


class Plans(PrivateDatabase):
    """The verdicts whose plans have something to do. A context manager, for one thread."""

    def __init__(self) -> None:
        super().__init__(
            "CREATE TABLE plans (user TEXT PRIMARY KEY, json TEXT, verdict BLOB) WITHOUT ROWID"
        )

    def __len__(self) -> int:
        return self._count("plans")

    def add(self, user: str, verdict: Verdict) -> None:
        """Keep a verdict, if its plan has anything to do."""
        if verdict.plan and verdict.plan.actions:
            text = json.dumps(as_json(verdict.plan), sort_keys=True)
            row = (user, text, pickle.dumps(verdict))
            self._database.execute("INSERT OR REPLACE INTO plans VALUES (?, ?, ?)", row)

    def verdicts(self) -> Iterator[tuple[str, Verdict]]:
        """Everyone with a plan, in order, and the verdict that was kept."""
        for user, kept in self._database.execute("SELECT user, verdict FROM plans ORDER BY user"):
            yield user, pickle.loads(kept)  # written above, into a file that nobody else has

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
