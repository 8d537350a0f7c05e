"""The statistics in the journal: hours of processes, and the days that older hours are added up to.

A day is a row among the hours, by a writer of its own. So a program that knows no days counts it
right, too, and its key lets one process add a day up while several try: the day is written and its
hours are deleted in one transaction. From then on the day is closed: an hour that comes later was
perhaps counted already, and is dropped.
"""

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from autocreate.service.journal_database import Duplicate, JournalDatabase
from autocreate.service.journal_leases import JournalLease
from autocreate.service.journal_merge import DAY_WRITER
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

# Seconds after a full hour in which every process begins its row, and one of them adds days up.
_UPKEEP = 600.0

# How many days one process adds up in an hour. After an upgrade there are many, and mail comes first.
_DAYS_AT_ONCE = 7

# A process has a name with colons.
_IS_DAY = HOURS.c.writer == DAY_WRITER
_DELETE = HOURS.delete().where(
    HOURS.c.hour == sa.bindparam("at"), HOURS.c.writer == sa.bindparam("whose")
)
# SQLite keeps whatever somebody puts there, and sorts text behind all numbers.
_END_OF_TIME = 2**53
_IS_TIME = HOURS.c.hour < _END_OF_TIME

# How many hours are read at a time, to find those that are kept.
_PAGE = 120


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

    Args:
        clock: the time in seconds since the epoch.
        lease: for adding up days.

    Raises:
        Temporary, from every method: the database cannot be used.
    """

    def __init__(
        self, database: JournalDatabase, clock: Callable[[], float], lease: JournalLease
    ) -> None:
        self._database = database
        self._clock = clock
        self._lease = lease

    def write(self, hour: int, writer: str, tally: str) -> None:
        """Keep what a process counted in an hour; replaces what it wrote before."""
        values = {"hour": hour, "writer": writer, "tally": tally}
        is_mine = (HOURS.c.hour == hour) & (HOURS.c.writer == writer)

        # Two transactions: an update that finds no row locks the end of the table on MariaDB, where
        # other processes insert theirs at the same full hour.
        update = HOURS.update().where(is_mine).values(values)
        if not self._database.write(lambda it: it.execute(update).rowcount):
            self._database.write(lambda it: it.execute(HOURS.insert().values(values)))
            if self._lease.take(writer, _UPKEEP):
                self.fold()

    def since(self, since: float) -> Iterator[Counted]:
        """What was counted, in order, from the hour or the day that contains `since`."""
        # One range of the key, and what is too early in it is few: hours of the day before.
        query = sa.select(HOURS).where(_IS_TIME, HOURS.c.hour > since - DAY).order_by(HOURS.c.hour)
        closed_until = since - DAY
        # One statement sees a day, or its hours, but never both and never neither.
        with self._database.transaction() as connection:
            rows = connection.execute(query)
            for hour, group in itertools.groupby(rows, lambda row: row.hour):
                at_once = list(group)
                if days := [row.tally for row in at_once if row.writer == DAY_WRITER]:
                    closed_until = hour + DAY
                    yield Counted(hour, DAY, days[0])
                elif hour >= closed_until and hour > since - HOUR:
                    yield from (Counted(hour, HOUR, row.tally) for row in at_once)

    def begins(self) -> int | None:
        """The beginning of the first hour or day that there is."""
        query = sa.select(HOURS.c.hour).where(_IS_TIME).order_by(HOURS.c.hour).limit(1)
        first: int | None = self._database.read(lambda it: it.execute(query).scalar_one_or_none())
        return first

    def fold(self) -> None:
        """Add up the days that are old enough, some at a time, and forget the first ones.

        Asks for the latest days and for the earliest ones, by the key: how many there are in between costs nothing.
        """
        latest = last_day_to_fold(self._latest_days(), self._clock())
        if latest is None:
            return
        folded = list(
            itertools.islice(filter(self._fold_day, self._days_until(latest)), _DAYS_AT_ONCE)
        )
        if folded:
            self._forget_first_days(folded[-1])

    def _latest_days(self) -> Iterator[tuple[int, int]]:
        """The days that have hours, and how many, the latest first."""
        for day, hours in itertools.groupby(self._latest_hours(), lambda it: it[0] // DAY * DAY):
            yield day, sum(count for _, count in hours)

    def _latest_hours(self) -> Iterator[tuple[int, int]]:
        counts = sa.select(HOURS.c.hour, sa.func.count()).where(~_IS_DAY).group_by(HOURS.c.hour)
        latest_first = counts.order_by(HOURS.c.hour.desc()).limit(_PAGE)
        page: Sequence[Any] = ((_END_OF_TIME, 0),)
        while page:
            page = self._all(latest_first.where(HOURS.c.hour < page[-1][0]))
            yield from page

    def _all(self, query: sa.Select[Any]) -> Sequence[Any]:
        return self._database.read(lambda connection: connection.execute(query).all())

    def _days_until(self, latest: int) -> Iterator[int]:
        """The days that have hours, up to the latest one, the earliest first."""
        day = self._day_of_first(HOURS.c.hour < latest + DAY)
        while day is not None:
            yield day
            is_later = (HOURS.c.hour >= day + DAY) & (HOURS.c.hour < latest + DAY)
            day = self._day_of_first(is_later)

    def _day_of_first(self, *where: sa.ColumnElement[bool]) -> int | None:
        query = sa.select(HOURS.c.hour).where(~_IS_DAY, *where).order_by(HOURS.c.hour).limit(1)
        hour = self._database.read(lambda it: it.execute(query).scalar_one_or_none())
        return None if hour is None else int(hour // DAY * DAY)

    def _fold_day(self, day: int) -> bool:
        """Add up a day. False if some of its hours are not valid: they may be a later version's."""
        rows = self._hours_of(day)
        total = Tally()
        try:
            for row in rows:
                total.merge(Tally.from_text(row.tally))
        except ValueError:
            return False
        values = {"hour": day, "writer": DAY_WRITER, "tally": total.as_text()}

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
        return self._all(sa.select(HOURS).where(_in_day(day), ~_IS_DAY).order_by(HOURS.c.hour))

    def _drop(self, day: int, rows: Sequence[sa.Row[Any]]) -> None:
        """Delete hours whose day is closed."""
        if rows:
            self._database.write(lambda connection: _delete(connection, rows))
            date = time.strftime("%Y-%m-%d", time.gmtime(day))
            log.warning(
                "statistics of %s came after the day was added up, and do not count: hours of %s",
                *(date, ", ".join(sorted({row.writer for row in rows}))),
            )

    def _forget_first_days(self, folded: int) -> None:
        """Delete what is older than the days that are kept.

        Args:
            folded: the latest day that was added up. Before it there are hardly any hours to read over.
        """
        days = sa.select(HOURS.c.hour).where(_IS_DAY, HOURS.c.hour <= folded)
        last = days.order_by(HOURS.c.hour.desc()).offset(DAYS_LIMIT - 1).limit(1)
        first_kept = self._database.read(lambda it: it.execute(last).scalar_one_or_none())
        if first_kept is not None:
            first_days = HOURS.delete().where(HOURS.c.hour < first_kept)
            self._database.write(lambda connection: connection.execute(first_days))


def _delete(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> None:
    # One by one: MariaDB would lock what is between them, and two processes would lock each other.
    connection.execute(_DELETE, [{"at": row.hour, "whose": row.writer} for row in rows])


def _in_day(day: int) -> sa.ColumnElement[bool]:
    return (HOURS.c.hour >= day) & (HOURS.c.hour < day + DAY)


def last_day_to_fold(latest_first: Iterable[tuple[int, int]], now: float) -> int | None:
    """The latest day of which no hours are to be kept; None if there is none. Nor are any kept of earlier days.

    Both the days that there are and the clock must say so: one wrong clock closes no day that
    others still count in.

    Args:
        latest_first: days, and how many rows each has. No more are read than are needed.
    """
    kept = 0
    for position, (day, count) in enumerate(latest_first):
        kept += count
        keep = HOURLY_DAYS if kept <= HOURS_LIMIT else _FEWEST_HOURLY_DAYS
        if position >= keep and day + keep * DAY <= now:
            return day
    return None
