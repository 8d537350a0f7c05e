"""What `autocreate watch` keeps in the journal: up to where each source was read, and who watches.

The lease has one holder among all processes that share the journal. It counts for a limited time, so
that another one takes over after a crash. If clocks differ so much that there are two holders, both do the
same work, which does no harm: a mailbox that exists is not created again.
"""

from collections.abc import Callable

import sqlalchemy as sa

from autocreate.service.journal_database import Duplicate, JournalDatabase
from autocreate.service.journal_tables import WATCH

_LEASE = "lease"


class WatchRecords:
    """Short texts by name, and the lease. Safe to use from several threads.

    Args:
        clock: the time in seconds since the epoch.

    Raises:
        Temporary, from every method: the journal cannot be used.
    """

    def __init__(self, database: JournalDatabase, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def get(self, name: str) -> str | None:
        """The text of a name; None if there is none."""
        query = sa.select(WATCH.c.value).where(WATCH.c.name == name)
        return self._database.read(lambda it: it.execute(query).scalar_one_or_none())

    def put(self, name: str, value: str) -> None:
        """Keep a text, in the place of an earlier one."""
        change = WATCH.update().where(WATCH.c.name == name).values(value=value)
        new = WATCH.insert().values(name=name, value=value, until=0.0)
        if not self._changes(change):
            try:
                self._database.write(lambda it: it.execute(new))
            except Duplicate:  # another process was first
                self._changes(change)

    def drop(self, name: str) -> None:
        """Keep a text no longer."""
        removal = WATCH.delete().where(WATCH.c.name == name)
        self._database.write(lambda it: it.execute(removal))

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
            WATCH.update()
            .where(WATCH.c.name == _LEASE, is_free)
            .values(value=holder, until=now + seconds)
        )
        if self._changes(taken):
            return True
        new = WATCH.insert().values(name=_LEASE, value=holder, until=now + seconds)
        try:
            self._database.write(lambda it: it.execute(new))
        except Duplicate:
            return False
        return True

    def release(self, holder: str) -> None:
        """Give the lease up, if it is this process's."""
        given_up = WATCH.update().where(WATCH.c.name == _LEASE, WATCH.c.value == holder)
        self._database.write(lambda it: it.execute(given_up.values(until=0.0)))

    def _changes(self, statement: sa.Update) -> bool:
        return self._database.write(lambda it: it.execute(statement).rowcount > 0)
