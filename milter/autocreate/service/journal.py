"""Unfinished trees, what dry run saw, and hourly counts. On SQLite, or any database of SQLAlchemy's.

`begin` is written before the first command goes to the mail store and `finish` after the last, so a
row that outlives its process marks a tree that may be half made, wherever the process ended. Several
MTAs may share one journal: every operation is one short transaction, and doing an entry's work twice
does no harm.
"""

import itertools
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from autocreate.backends.sql_transactions import Command
from autocreate.model import LMTP, Answer, Recipient, Verdict
from autocreate.service import journal_creations
from autocreate.service.journal_creations import Creation, DueHook, JournalCreations
from autocreate.service.journal_database import Duplicate, JournalDatabase
from autocreate.service.journal_hours import Counted, JournalHours
from autocreate.service.journal_leases import Duty, JournalLease
from autocreate.service.journal_tables import (
    BEGIN,
    ENTRY_OF,
    FINISH,
    GIVE,
    GIVEN,
    LONGEST_RECIPIENT,
    SEEN,
    TAKE_BACK,
    UNFINISHED,
)
from autocreate.service.journal_watch import WatchRecords
from autocreate.service.news import News
from autocreate.tree.plan import as_json

# How many distinct recipients dry run remembers. Guesses of spammers must not fill the disk.
SEEN_LIMIT = 100_000
# The rows are counted once for so many new ones: a database counts a table by reading all of it.
_BETWEEN_COUNTS = 1000
# Recipients that do not exist. They are forgotten first.
_GUESSES = (Answer.UNKNOWN.value, Answer.MALFORMED.value)

_COLUMNS = tuple(column.name for column in UNFINISHED.columns)


@dataclass(frozen=True, slots=True)
class Entry:
    """A tree that was begun and not finished, or a user who could not be looked at in time.

    Args:
        address: the recipient or login it was begun for, from which the work is planned anew.
        service: what it was begun for: mail, or a login to "imap", "pop3", "sieve".
        begun: False for a user whose mailbox may well exist, and is to be looked at first.
        usable: INBOX and quota exist; mail can be accepted meanwhile.
        attempts: how many ended with something missing.
        next_try: when to try again, in seconds since the epoch.
    """

    user: str
    address: str
    service: str = LMTP
    begun: bool = True
    usable: bool = False
    attempts: int = 0
    next_try: float = 0.0
    error: str = ""

    @property
    def why_waiting(self) -> str:
        """Why mail is accepted though the tree is not finished."""
        rest = f"is retried later: {self.error}" if self.error else "is being created"
        return f"INBOX exists, the rest {rest}"


class Journal:
    """The journal at a database URL. Created where it is missing; safe to use from several threads.

    A database that cannot be used now is no error here: see `JournalDatabase`.

    Args:
        url: an SQLAlchemy URL.
        clock: the time in seconds since the epoch.
        password_file: its first line is the password; None if none is needed.
        is_shared: processes on this machine share an SQLite file: they take turns at a user, and tell each
            other what is to be forgotten, as MTAs do that share a journal on a server.

    Raises:
        ConfigurationError: the URL is invalid, its database has no driver here, or the password cannot be read.
        Temporary, from every method: the database cannot be used.
    """

    def __init__(
        self,
        url: str,
        clock: Callable[[], float],
        password_file: Path | None = None,
        is_shared: bool = False,
    ) -> None:
        self._clock = clock
        self._database = JournalDatabase(url, password_file)
        self._new_rows = itertools.count()  # of what dry run saw, by this process
        self._hours = JournalHours(self._database, clock, self.lease(Duty.STATISTICS))
        self.creations = JournalCreations(self._database)
        self.watch = WatchRecords(self._database)
        self.locks = self._database.locks(is_shared)
        self.news = News(self._database.channel(is_shared))

    def begin(self, entry: Entry, creation: Creation | None = None) -> None:
        """Note that a tree is being made, or is to be looked at.

        An existing entry is kept, except that it may now be begun; or, if it was not, gets the new
        time.

        Args:
            creation: for a mailbox that is new and gets what only a new one gets. Work on it that was
                begun earlier goes on as it is.
        """
        commands = [Command(BEGIN, [_row(entry)])]
        if creation:
            commands.append(journal_creations.beginning(creation))
        try:
            self._database.run(*commands)
        except Duplicate:
            self._database.write(lambda connection: _begin_again(connection, entry, creation))

    def fail(self, entry: Entry, given: Collection[str] = (), held: Creation | None = None) -> None:
        """Note an attempt that left something missing.

        Args:
            given: what it gave the user: see `Action.user_removable`.
            held: the creation that this process held, and now does not hold any more.
        """
        noted = UNFINISHED.update().where(UNFINISHED.c.user == entry.user).values(**_row(entry))

        def write(connection: sa.Connection) -> None:
            connection.execute(noted)
            _give(connection, entry.user, given)
            if held:
                journal_creations.release(connection, held)

        self._database.write(write)

    def finish(self, user: str, given: Collection[str] = (), hook: DueHook | None = None) -> None:
        """Remove an entry: the tree is complete, or is no longer needed.

        Args:
            given: as for `fail`.
            hook: is to run, if the mailbox is new.
        """
        commands = [Command(FINISH, [{"whose": user}])]
        if given:
            commands.append(Command(GIVE, [{"user": user, "thing": thing} for thing in given]))
        commands += journal_creations.finishing(user, hook)
        try:
            # A power failure may bring the entry back: the tree is then looked at once more.
            self._database.run(*commands, is_durable=False)
        except Duplicate:  # given before, too
            self._database.write(lambda connection: _finish(connection, user, given, hook))

    def given(self, user: str) -> frozenset[str]:
        """What a user was given, at any time."""
        query = sa.select(GIVEN.c.thing).where(GIVEN.c.user == user)
        return self._database.read(lambda it: frozenset(it.execute(query).scalars()))

    def all_unfinished(self) -> Iterator[Entry]:
        """Every entry, by user."""
        with self._database.transaction() as connection:
            query = sa.select(UNFINISHED).order_by(UNFINISHED.c.user)
            for row in connection.execute(query):
                yield Entry(**row._mapping)

    def entry(self, user: str) -> Entry | None:
        """The entry of a user, or None if nothing is unfinished."""
        for row in self._database.ask(Command(ENTRY_OF, [{"whose": user}])):
            entry = Entry(**dict(zip(_COLUMNS, row, strict=True)))
            # SQLite and MariaDB have numbers for them.
            return replace(entry, begun=bool(entry.begun), usable=bool(entry.usable))
        return None

    def due(self, before: float, limit: int, beyond: float = math.inf) -> list[Entry]:
        """The entries that are due, the most overdue first.

        Args:
            before: the latest next try that is due; infinity for every entry.
            beyond: a next try after this was noted by a wrong clock, and is due, too.
        """
        query = sa.select(UNFINISHED).order_by(UNFINISHED.c.next_try).limit(limit)
        if before < math.inf:  # MariaDB has no infinity
            is_due = UNFINISHED.c.next_try <= before
            if beyond < math.inf:
                is_due |= UNFINISHED.c.next_try > beyond
            query = query.where(is_due)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [Entry(**row._mapping) for row in rows]

    def record(self, recipient: Recipient, verdict: Verdict) -> None:
        """Remember what dry run would have answered and done for a recipient."""
        now = self._clock()
        values = {
            "answer": verdict.answer.value,
            "reason": verdict.reason,
            "user": verdict.user,
            "source": verdict.source,
            "policy": verdict.policy,
            "plan": json.dumps(as_json(*verdict.plans)) if verdict.plans else "",
            "last_seen": now,
        }
        # A client's bytes need not be text; a database takes only text.
        address = recipient.argument.encode("utf-8", "backslashreplace").decode("utf-8")
        key = address.replace("\0", "\\0")[:LONGEST_RECIPIENT]
        if not self._update_seen(key, values):
            new = SEEN.insert().values(recipient=key, times=1, first_seen=now, **values)

            def write(connection: sa.Connection) -> None:
                connection.execute(new)
                if is_due:
                    _forget_oldest(connection)

            is_due = next(self._new_rows) % _BETWEEN_COUNTS == 0
            try:
                self._database.write(write)
            except Duplicate:  # another session was first
                self._update_seen(key, values)

    def seen(self) -> Iterator[dict[str, Any]]:
        """What dry run recorded, latest first; `plan` as JSON text, times since the epoch."""
        with self._database.transaction() as connection:
            query = sa.select(SEEN).order_by(SEEN.c.last_seen.desc())
            for row in connection.execute(query):
                yield dict(row._mapping)

    def count_unfinished(self) -> int:
        """How many entries there are."""
        count = sa.select(sa.func.count()).select_from(UNFINISHED)
        return self._database.read(lambda connection: int(connection.execute(count).scalar_one()))

    def tally(self, hour: int, writer: str, tally: str) -> None:
        """Keep what a process counted in an hour; replaces what it wrote before.

        The first row of an hour also adds up older hours, see `JournalHours.fold`.

        Args:
            hour: its beginning, in seconds since the epoch.
            writer: names the process.
        """
        self._hours.write(hour, writer, tally)

    def tallies(self, since: float) -> Iterator[Counted]:
        """What was counted, in order, from the hour or the day that contains `since`."""
        return self._hours.since(since)

    def tallies_begin(self) -> int | None:
        """Since when there are tallies, in seconds since the epoch; None if there are none."""
        return self._hours.begins()

    def lease(self, duty: Duty) -> JournalLease:
        """Who of all that share the journal has a duty."""
        return JournalLease(self._database, self._clock, duty)

    @property
    def state(self) -> dict[str, Any]:
        """Whether the database answers: see `Health.snapshot`."""
        return self._database.state

    def close(self) -> None:
        """Close the database."""
        self.news.close()
        if self.locks:
            self.locks.close()
        self._database.close()

    def _update_seen(self, key: str, values: Mapping[str, Any]) -> bool:
        seen_again = (
            SEEN.update().where(SEEN.c.recipient == key).values(times=SEEN.c.times + 1, **values)
        )
        return self._database.write(lambda it: it.execute(seen_again).rowcount > 0)


def _begin_again(connection: sa.Connection, entry: Entry, creation: Creation | None) -> None:
    """Note the beginning for a user who has an entry."""
    noted = UNFINISHED.update().where(UNFINISHED.c.user == entry.user)
    if not entry.begun:
        times = {"attempts": entry.attempts, "next_try": entry.next_try}
        connection.execute(noted.where(~UNFINISHED.c.begun).values(**times))
        return
    is_first = connection.execute(noted.where(~UNFINISHED.c.begun).values(begun=True)).rowcount
    if is_first and creation:
        journal_creations.begin(connection, creation)


def _forget_oldest(connection: sa.Connection) -> None:
    """Make room in what dry run saw: the oldest guesses go first, then the oldest of all."""
    for condition in (SEEN.c.answer.in_(_GUESSES), sa.true()):
        count = connection.execute(sa.select(sa.func.count()).select_from(SEEN)).scalar_one()
        if count <= SEEN_LIMIT:
            return
        oldest = sa.select(SEEN.c.last_seen).where(condition).order_by(SEEN.c.last_seen)
        times = connection.execute(oldest.limit(count - SEEN_LIMIT)).scalars().all()
        if times:
            connection.execute(SEEN.delete().where(condition, SEEN.c.last_seen <= times[-1]))


def _give(connection: sa.Connection, user: str, given: Collection[str]) -> None:
    if not given:
        return
    connection.execute(TAKE_BACK, {"whose": user, "things": list(given)})
    connection.execute(GIVE, [{"user": user, "thing": thing} for thing in given])


def _finish(
    connection: sa.Connection, user: str, given: Collection[str], hook: DueHook | None
) -> None:
    connection.execute(FINISH, {"whose": user})
    journal_creations.finish(connection, user, hook)
    _give(connection, user, given)


def _row(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in _COLUMNS}
