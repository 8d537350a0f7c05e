"""What the journal knows of new mailboxes: those that are being made, and hooks that are still to run.

A row in `creations` is written together with the user's entry in `unfinished`, before the mailbox
exists, and deleted together with it. So it says for certain that a mailbox is new: only then is there
a welcome message and a hook. It is also a lock: one process at a time works on a new mailbox. The row
in `hooks` is written as the entry is deleted, so that nothing is between the two.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from autocreate.backends.sql_transactions import Command
from autocreate.service.journal_database import JournalDatabase
from autocreate.service.journal_tables import (
    CREATIONS,
    DROP_HOOK,
    FORGET_CREATION,
    HOOKS,
    IS_CREATED,
    NOTE_CREATION,
    NOTE_HOOK,
)


@dataclass(frozen=True, slots=True)
class Creation:
    """A mailbox that is being made.

    Args:
        holder: the process that works on it.
        held_until: when others may take it over, in seconds since the epoch.
        welcomed: the welcome message is in INBOX.
    """

    user: str
    holder: str
    held_until: float
    welcomed: bool = False


@dataclass(frozen=True, slots=True)
class DueHook:
    """A hook that is to run.

    Args:
        policy: whose hook it is.
        event: what it reads, as JSON text.
        attempts: how many were begun.
        next_try: when to try again, in seconds since the epoch.
        error: how the last attempt failed.
    """

    user: str
    policy: str
    event: str
    attempts: int = 0
    next_try: float = 0.0
    error: str = ""


class JournalCreations:
    """Reads and changes both tables. Safe to use from several threads, processes and MTAs.

    Raises:
        Temporary, from every method: the database cannot be used.
    """

    def __init__(self, database: JournalDatabase) -> None:
        self._database = database

    def of(self, user: str) -> Creation | None:
        """A user's creation; None if the mailbox is not being made."""
        query = sa.select(CREATIONS).where(CREATIONS.c.user == user)
        row = self._database.read(lambda it: it.execute(query).one_or_none())
        return Creation(**row._mapping) if row else None

    def take(self, before: Creation, after: Creation) -> bool:
        """Replace one holder by another. False if another process was faster."""
        taken = (
            CREATIONS.update()
            .where(CREATIONS.c.user == before.user, CREATIONS.c.holder == before.holder)
            .where(CREATIONS.c.held_until == before.held_until)
            .values(holder=after.holder, held_until=after.held_until)
        )
        return self._database.write(lambda it: it.execute(taken).rowcount > 0)

    def due_hooks(self, before: float, limit: int, beyond: float) -> list[DueHook]:
        """Hooks that are due, the most overdue first.

        Args:
            beyond: a next try after this was noted by a wrong clock, and is due, too.
        """
        query = (
            sa.select(HOOKS)
            .where((HOOKS.c.next_try <= before) | (HOOKS.c.next_try > beyond))
            .order_by(HOOKS.c.next_try)
            .limit(limit)
        )
        rows = self._database.read(lambda it: it.execute(query).all())
        return [DueHook(**row._mapping) for row in rows]

    def all_hooks(self) -> list[DueHook]:
        """Every hook that is still to run, by user."""
        query = sa.select(HOOKS).order_by(HOOKS.c.user)
        rows = self._database.read(lambda it: it.execute(query).all())
        return [DueHook(**row._mapping) for row in rows]

    def count_hooks(self) -> int:
        """How many hooks are still to run."""
        query = sa.select(sa.func.count()).select_from(HOOKS)
        return self._database.read(lambda it: int(it.execute(query).scalar_one()))

    def change_hook(self, before: DueHook, after: DueHook | None) -> bool:
        """Note an attempt, or that it was the last. False if another process has done so since."""
        is_same = (HOOKS.c.user == before.user) & (HOOKS.c.attempts == before.attempts)
        change: sa.Update | sa.Delete = (
            HOOKS.update().where(is_same).values(**asdict(after))
            if after
            else HOOKS.delete().where(is_same)
        )
        return self._database.write(lambda it: it.execute(change).rowcount > 0)


def beginning(creation: Creation) -> Command:
    """Notes a mailbox that is being made, in the transaction that notes the user's entry."""
    return Command(NOTE_CREATION, [asdict(creation)])


def begin(connection: sa.Connection, creation: Creation) -> None:
    """Carry out `beginning`."""
    command = beginning(creation)
    connection.execute(command.statement, command.rows)


def release(connection: sa.Connection, held: Creation) -> None:
    """Let others work on a new mailbox, in the transaction that notes an attempt."""
    is_ours = (CREATIONS.c.user == held.user) & (CREATIONS.c.holder == held.holder)
    values = {"holder": "", "held_until": 0.0, "welcomed": held.welcomed}
    connection.execute(CREATIONS.update().where(is_ours).values(**values))


def finishing(user: str, hook: DueHook | None) -> Iterator[Command]:
    """Forgets a creation, in the transaction that deletes the entry; its hook is due from now on.

    The first is a query. If it finds nothing, the others are not carried out. They come last in a transaction.
    """
    whose = [{"whose": user}]
    # Looked for first: deleting what is not there locks its neighbours on MariaDB.
    yield Command(IS_CREATED, whose)
    yield Command(FORGET_CREATION, whose)
    if hook:
        yield Command(DROP_HOOK, whose)
        yield Command(NOTE_HOOK, [asdict(hook)])


def finish(connection: sa.Connection, user: str, hook: DueHook | None) -> None:
    """Carry out `finishing`."""
    for command in finishing(user, hook):
        result = connection.execute(command.statement, command.rows)
        if result.returns_rows and result.first() is None:
            return
