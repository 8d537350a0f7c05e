"""Tables of aliases. One module a kind of place; `TABLES` is the list of their types.

A table has three answers as an account source has: an entry, none, and `Temporary` for "cannot tell".
A fourth lies between: none, but with a doubt (a line that cannot be read, a file that somebody is
writing). Known users need not wait for it to be mended, but nobody is refused meanwhile.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol, runtime_checkable

from autocreate.aliases.keys import Style
from autocreate.aliases.stages import Found
from autocreate.errors import Temporary
from autocreate.model import Lookup
from autocreate.statistics.lookups import LookupStats, record_lookup


class AliasTable(Protocol):
    """A table of aliases, wherever it is kept. Called from several threads at once.

    It is made with the name that the configuration gives it, and with the keys of its section that do
    not say how it is to be asked.
    """

    name: str

    def find(self, keys: Sequence[str]) -> Found:
        """The first of `keys`, addresses and local parts as they are written, that has an entry.

        Raises:
            Temporary: the table cannot be read or did not answer.
        """

    def close(self) -> None:
        """Let go of connections and files. The table is not used afterwards."""


@runtime_checkable
class AsksAtOnce(AliasTable, Protocol):
    """A table that answers about many addresses as fast as about one."""

    def find_many(self, questions: Sequence[Sequence[str]]) -> list[Found]:
        """`find` for each of several addresses."""


class Type(NamedTuple):
    """A type of table.

    Args:
        module, factory: where its code is. Loaded only when a configuration names it.
        style: how it is asked, if its configuration does not say.
        may_include: its writer is the administrator, who may name files.
    """

    module: str
    factory: str
    style: Style = Style.VIRTUAL
    may_include: bool = False


TABLES = {
    "file": Type("autocreate.aliases.file", "VirtualFile"),
    "aliases": Type("autocreate.aliases.file", "AliasesFile", Style.ALIASES, True),
    "virtusertable": Type("autocreate.aliases.file", "Virtusertable", Style.VIRTUSERTABLE),
    "ldap": Type("autocreate.aliases.ldap", "LdapTable"),
    "postmap": Type("autocreate.aliases.postmap", "PostmapTable", may_include=True),
    "sql": Type("autocreate.aliases.sql", "SqlTable"),
}


class InstrumentedTable:
    """A table that notes what it is asked, and how long that takes.

    Args:
        table: the one to ask.
        clock: a monotonic clock, in seconds.
        stats: where to count, if they are to outlive this.
        key: what the notes call it; `aliases.` and its name if not given.
    """

    def __init__(
        self,
        table: AliasTable,
        clock: Callable[[], float] = time.monotonic,
        stats: LookupStats | None = None,
        key: str = "",
    ) -> None:
        self.name = table.name
        self.key = key or f"aliases.{table.name}"
        self.stats = stats or LookupStats()
        self._table = table
        self._clock = clock
        self.find_many = self._find_many if isinstance(table, AsksAtOnce) else None

    def find(self, keys: Sequence[str]) -> Found:
        """See `AliasTable.find`."""
        with self._measured() as told:
            found = self._table.find(keys)
            told.append(found.doubt)
            return found

    def close(self) -> None:
        """Close the table."""
        self._table.close()

    def _find_many(self, questions: Sequence[Sequence[str]]) -> list[Found]:
        assert isinstance(self._table, AsksAtOnce)
        with self._measured() as told:
            answers = self._table.find_many(questions)
            told += {found.doubt for found in answers}
            return answers

    @contextmanager
    def _measured(self) -> Iterator[list[str]]:
        """Note how long this takes, and the doubts and errors that it is told."""
        begun = self._clock()
        told: list[str] = []
        try:
            yield told
        except Temporary as failure:
            told.append(str(failure))
            raise
        finally:
            error = "; ".join(filter(None, told))
            seconds = self._clock() - begun
            self.stats.answered(seconds, error)
            record_lookup(Lookup(self.key, seconds * 1000, bool(error)))
