"""Leases in the journal: who of all processes that share it does something that one is to do.

A lease has one holder. It counts for a limited time, so that another one takes over after a crash. If
clocks differ so much that there are two holders, both do the same work, which does no harm.
"""

from collections.abc import Callable
from enum import Enum

import sqlalchemy as sa

from autocreate.service.journal_database import Duplicate, JournalDatabase
from autocreate.service.journal_tables import WATCH


class Duty(Enum):
    """What one process does for all. The value is the name of the lease's row."""

    WATCH = "lease"
    RETRIES = "lease:retries"
    STATISTICS = "lease:statistics"


class JournalLease:
    """The lease for a duty. Safe to use from several threads.

    Args:
        clock: the time in seconds since the epoch.

    Raises:
        Temporary, from every method: the journal cannot be used.
    """

    def __init__(self, database: JournalDatabase, clock: Callable[[], float], duty: Duty) -> None:
        self._database = database
        self._clock = clock
        self._duty = duty
        self._is_this = WATCH.c.name == duty.value

    def take(self, holder: str, seconds: float) -> bool:
        """Take the lease, or extend it. False if somebody else has it.

        Args:
            holder: names the process.
            seconds: for how long.
        """
        now = self._clock()
        is_free = (
            (WATCH.c.value == holder)
            | (WATCH.c.until <= now)
            | (WATCH.c.until > now + 2 * seconds)  # by a clock that is far ahead
        )
        taken = (
            WATCH.update().where(self._is_this, is_free).values(value=holder, until=now + seconds)
        )
        if self._database.write(lambda it: it.execute(taken).rowcount > 0):
            return True
        if self.holder():
            return False  # and no server logs a duplicate key each time
        new = WATCH.insert().values(name=self._duty.value, value=holder, until=now + seconds)
        try:
            self._database.write(lambda it: it.execute(new))
        except Duplicate:
            return False
        return True

    def holder(self) -> str:
        """Who took it last; "" if nobody ever did."""
        query = sa.select(WATCH.c.value).where(self._is_this)
        return self._database.read(lambda it: it.execute(query).scalar_one_or_none()) or ""

    def release(self, holder: str) -> None:
        """Give the lease up, if it is this holder's."""
        given_up = WATCH.update().where(self._is_this, WATCH.c.value == holder)
        self._database.write(lambda it: it.execute(given_up.values(until=0.0)))
