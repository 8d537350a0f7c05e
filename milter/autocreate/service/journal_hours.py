"""The statistics in the journal: hours of processes, and the days that older hours are added up to.

A day is a row among the hours, by a writer of its own. So a program that knows no days counts it
right, too, and its key lets one process add a day up while several try: the day is written and its
hours are deleted in one transaction. From then on the day is closed: an hour that comes later was
perhaps counted already, and is dropped.
"""

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from autocreate.service.journal_database import Duplicate, JournalDatabase
from autocreate.service.journal_tables import HOURS
from autocreate.statistics.tally import Tally

log = logging.getLogger(__name__)

HOUR = 3600
DAY = 24 * HOUR

# How many days are kept as hours: a report over a month is exact to the hour.
HOURLY_DAYS = 35
# Fewer, if there are more hours than this: some 280 a day. A report reads all of them.
HOURS_LIMIT = 10_000
# But never fewer than these: a process keeps two days that it could not write.
_FEWEST_HOURLY_DAYS = 4
# How many days are kept: two years.
DAYS_LIMIT = 732

# How many days one process adds up in an hour. After an upgrade there are many, and mail comes first.
_DAYS_AT_ONCE = 7

# The writer of days. A process has a name with colons.
_DAYS = "day"

_IS_DAY = HOURS.c.writer == _DAYS
_DELETE = HOURS.delete().where(
    HOURS.c.hour == sa.bindparam("at"), HOURS.c.writer == sa.bindparam("whose")
)
# SQLite keeps whatever somebody puts there, and sorts text behind all numbers.
_IS_TIME = HOURS.c.hour < 2**53


class Counted(NamedTuple):
    """What was counted in an hour by one process, or in a day by all.

    Args:
        begins: in seconds since the epoch. Days are of UTC.
        seconds: HOUR or DAY.
        tally: as JSON text.
    """

    begins: int
    seconds: int
    tally: str


class JournalHours:
    """Writes, reads and adds up hours. Safe to use from several threads, processes and MTAs.

    Raises:
        Temporary, from every method: the database cannot be used.
    """

    def __init__(self, database: JournalDatabase, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def write(self, hour: int, writer: str, tally: str) -> None:
        """Keep what a process counted in an hour; replaces what it wrote before."""
        values = {"hour": hour, "writer": writer, "tally": tally}
        is_mine = (HOURS.c.hour == hour) & (HOURS.c.writer == writer)

        # Two transactions: an update that finds no row locks the end of the table on MariaDB, where
        # other processes insert theirs at the same full hour.
        update = HOURS.update().where(is_mine).values(values)
        if not self._database.write(lambda it: it.execute(update).rowcount):
            self._database.write(lambda it: it.execute(HOURS.insert().values(values)))
            self.fold()

    def since(self, since: float) -> Iterator[Counted]:
        """What was counted, in order, from the hour or the day that contains `since`."""
        is_within = (HOURS.c.hour > since - HOUR) | (_IS_DAY & (HOURS.c.hour > since - DAY))
        query = sa.select(HOURS).where(_IS_TIME, is_within).order_by(HOURS.c.hour)
        closed_until = since - DAY
        # One statement sees a day, or its hours, but never both and never neither.
        with self._database.transaction() as connection:
            rows = connection.execute(query)
            for hour, group in itertools.groupby(rows, lambda row: row.hour):
                at_once = list(group)
                if days := [row.tally for row in at_once if row.writer == _DAYS]:
                    closed_until = hour + DAY
                    yield Counted(hour, DAY, days[0])
                elif hour >= closed_until:
                    yield from (Counted(hour, HOUR, row.tally) for row in at_once)

    def begins(self) -> int | None:
        """The beginning of the first hour or day that there is."""
        query = sa.select(HOURS.c.hour).where(_IS_TIME).order_by(HOURS.c.hour).limit(1)
        first: int | None = self._database.read(lambda it: it.execute(query).scalar_one_or_none())
        return first

    def fold(self) -> None:
        """Add up the days that are old enough, some at a time, and forget the first ones."""
        by_hour = (
            sa.select(HOURS.c.hour, sa.func.count())
            .where(_IS_TIME, ~_IS_DAY)
            .group_by(HOURS.c.hour)
        )
        days: Counter[int] = Counter()
        for hour, count in self._database.read(lambda it: it.execute(by_hour).all()):
            days[hour // DAY * DAY] += count
        due = filter(self._fold_day, days_to_fold(days, self._clock()))
        if list(itertools.islice(due, _DAYS_AT_ONCE)):
            self._forget_first_days()

    def _fold_day(self, day: int) -> bool:
        """Add up a day. False if some of its hours are not valid: they may be a later version's."""
        rows = self._hours_of(day)
        total = Tally()
        try:
            for row in rows:
                total.merge(Tally.from_text(row.tally))
        except ValueError:
            return False
        values = {"hour": day, "writer": _DAYS, "tally": total.as_text()}

        def fold(connection: sa.Connection) -> None:
            connection.execute(HOURS.insert().values(values))
            _delete(connection, rows)

        if not rows:  # another process has just added them up
            return True
        try:
            self._database.write(fold)
        except Duplicate:  # likewise, or these hours have come too late
            self._drop(day, self._hours_of(day))
        return True

    def _hours_of(self, day: int) -> Sequence[sa.Row[Any]]:
        in_day = (HOURS.c.hour >= day) & (HOURS.c.hour < day + DAY)
        query = sa.select(HOURS).where(in_day, ~_IS_DAY).order_by(HOURS.c.hour)
        return self._database.read(lambda connection: connection.execute(query).all())

    def _drop(self, day: int, rows: Sequence[sa.Row[Any]]) -> None:
        """Delete hours whose day is closed."""
        if rows:
            self._database.write(lambda connection: _delete(connection, rows))
            date = time.strftime("%Y-%m-%d", time.gmtime(day))
            log.warning(
                "statistics of %s came after the day was added up, and do not count: hours of %s",
                *(date, ", ".join(sorted({row.writer for row in rows}))),
            )

    def _forget_first_days(self) -> None:
        days = sa.select(HOURS.c.hour).where(_IS_DAY).order_by(HOURS.c.hour.desc())
        last = days.offset(DAYS_LIMIT - 1).limit(1)
        first_kept = self._database.read(lambda it: it.execute(last).scalar_one_or_none())
        if first_kept is not None:
            first_days = HOURS.delete().where(HOURS.c.hour < first_kept)
            self._database.write(lambda connection: connection.execute(first_days))


def _delete(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> None:
    # One by one: MariaDB would lock what is between them, and two processes would lock each other.
    connection.execute(_DELETE, [{"at": row.hour, "whose": row.writer} for row in rows])


def days_to_fold(hours: Mapping[int, int], now: float) -> list[int]:
    """The days of which no hours are to be kept, the oldest first.

    Both the days that there are and the clock must say so: one wrong clock closes no day that
    others still count in.

    Args:
        hours: how many rows each day has.
    """
    due, kept = [], 0
    for position, (day, count) in enumerate(sorted(hours.items(), reverse=True)):
        kept += count
        keep = HOURLY_DAYS if kept <= HOURS_LIMIT else _FEWEST_HOURLY_DAYS
        if position >= keep and day + keep * DAY <= now:
            due.append(day)
    return due[::-1]
