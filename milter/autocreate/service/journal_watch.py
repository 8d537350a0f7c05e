"""What `autocreate watch` keeps in the journal: up to where each source was read, and what it created."""

import sqlalchemy as sa

from autocreate.service.journal_database import Duplicate, JournalDatabase
from autocreate.service.journal_tables import WATCH


class WatchRecords:
    """Short texts by name. Safe to use from several threads.

    Raises:
        Temporary, from every method: the journal cannot be used.
    """

    def __init__(self, database: JournalDatabase) -> None:
        self._database = database

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

    def _changes(self, statement: sa.Update) -> bool:
        return self._database.write(lambda it: it.execute(statement).rowcount > 0)
