"""`autocreate watch --plan` and `--resume`: what the watch would do, shown, and carried out as it was shown."""

from contextlib import closing

from autocreate.admin.bulk import Outcomes, Run
from autocreate.admin.outcomes import outcome_of
from autocreate.errors import Temporary
from autocreate.watch.records import Records
from autocreate.watch.rounds import Round
from autocreate.watch.watcher import Watched


class Review:
    """A round that an administrator looks at. A context manager, for one thread.

    `compare` comes first and is run to its end, then `apply`, then `conclude`.
    """

    def __init__(self, watched: Watched) -> None:
        self._components = watched.components
        self._records = Records(watched.components.journal.watch)
        self._round = Round(watched.components, watched.trackers, self._records)

    def close(self) -> None:
        """Close what is kept on disk."""
        self._round.close()

    def compare(self) -> Run:
        """Plan for each user who may be new, and keep the plans. Changes nothing.

        Raises:
            Temporary: a source or the journal did not answer. A review without some of them would be wrong.
        """
        self._round.look()
        errors = self._round.looked.errors
        failed = [f"accounts.{name}: {error}" for name, error in errors.items() if error]
        if failed:
            raise Temporary("; ".join(failed))
        count = self._round.survey.accounts
        return Run(count, count, False, self._compare())

    def apply(self, reviewed: str) -> Run | None:
        """Carry the plans out; None in dry run.

        Args:
            reviewed: the checksum that was shown.

        Raises:
            Changed: they are not the plans that were reviewed.
        """
        self._round.plans.require(reviewed)
        if self._components.dry_run:
            return None
        count = len(self._round.plans)
        return Run(count, count, True, self._apply())

    def conclude(self) -> None:
        """Let the watch go on, from here. Who failed is in the journal, and is tried again.

        Raises:
            Temporary: the journal cannot be written.
        """
        self._round.keep_marks()
        self._records.resume()

    @property
    def checksum(self) -> str:
        """What to repeat the command with to carry out these plans."""
        return self._round.plans.checksum()

    def _compare(self) -> Outcomes:
        with closing(self._round.plan()) as planned:
            for user, verdict in planned:
                yield outcome_of(user, verdict, is_applied=False)

    def _apply(self) -> Outcomes:
        with closing(self._round.apply()) as applied:
            for user, verdict in applied:
                yield outcome_of(user, verdict, is_applied=True)
