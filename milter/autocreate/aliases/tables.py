"""Tables of aliases, one module for each type. `TABLES` lists the types.

Like an account source, a table has three results: an entry, none, and `Temporary` if it cannot tell. There is
a fourth: none, but with an uncertainty (a line with a syntax error, a file that is being written). Then mail
to known users is accepted, but no recipient is refused.
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
    """A table of aliases. Called from several threads at once.

    It is made with its name in the configuration, and with the keys of its section that say where it is.
    """

    name: str

    def find(self, keys: Sequence[str]) -> Found:
        """The entry of the first of `keys` that has one. Keys are addresses and local parts.

        Raises:
            Temporary: the table cannot be read, or did not answer.
        """

    def close(self) -> None:
        """Close connections and files. The table is not used afterwards."""


@runtime_checkable
class AsksAtOnce(AliasTable, Protocol):
    """A table that can look up many addresses as fast as one."""

    def find_many(self, questions: Sequence[Sequence[str]]) -> list[Found]:
        """`find` for each of several addresses."""


class Type(NamedTuple):
    """A type of table.

    Args:
        module, factory: where its code is. Imported only if the configuration uses it.
        style: how it is asked, unless the configuration says so.
        may_include: the administrator writes it, and may include files.
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
    """A table that counts its lookups, and measures them.

    Args:
        table: the one to ask.
        clock: a monotonic clock, in seconds.
        stats: where to count, if the counts must outlive this object.
        key: its key in the configuration; `aliases.` and its name if not given.
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
        with self._measured() as errors:
            found = self._table.find(keys)
            errors.append(found.uncertainty)
            return found

    def close(self) -> None:
        """Close the table."""
        self._table.close()

    def _find_many(self, questions: Sequence[Sequence[str]]) -> list[Found]:
        assert isinstance(self._table, AsksAtOnce)
        with self._measured() as errors:
            answers = self._table.find_many(questions)
            errors += {found.uncertainty for found in answers}
            return answers

    @contextmanager
    def _measured(self) -> Iterator[list[str]]:
        """Record how long a lookup takes, and its errors and uncertainties."""
        begun = self._clock()
        errors: list[str] = []
        try:
            yield errors
        except Temporary as failure:
            errors.append(str(failure))
            raise
        finally:
            error = "; ".join(filter(None, errors))
            seconds = self._clock() - begun
            self.stats.answered(seconds, error)
            record_lookup(Lookup(self.key, seconds * 1000, bool(error)))
