"""Aliases in text files, which are read again whenever they change.

A file that is being written may be incomplete: see `autocreate.backends.reloading_file`.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cachetools import LRUCache

from autocreate.aliases.stages import Found, Included
from autocreate.aliases.syntax import abbreviate, folded, lowered, members
from autocreate.aliases.texts import AliasText, parse_aliases, parse_table, parse_virtusertable
from autocreate.backends.regular_file import MAX_INCLUDE, Rules
from autocreate.backends.reloading_file import ReloadingFile
from autocreate.errors import Temporary

# Bytes of memory for all included files together, for each at least, and for each byte of its text.
_MOST = 128 * 1024 * 1024
_LEAST = 16 * 1024
_PER_BYTE = 8


class VirtualFile:
    """`key value` lines: virtual(5) and canonical(5).

    Args:
        name: what the configuration calls this table.
        path: the text file, not the database that is made from it.
        clock: the time in seconds since the epoch.
    """

    _parse: Callable[[Iterator[str]], AliasText] = staticmethod(parse_table)
    _fold: Callable[[str], str] = staticmethod(folded)

    def __init__(self, name: str, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self._file = ReloadingFile(path, self._parse, clock)

    def find(self, keys: Sequence[str]) -> Found:
        """See `AliasTable.find`."""
        read, incomplete, owner, is_outdated = self._file.read()
        names = [self._fold(key) for key in keys]
        values = ((at, read.entries.get(name)) for at, name in enumerate(names))
        position, text = next(((at, text) for at, text in values if text is not None), (-1, ""))
        if incomplete and position >= 0 and names[position] == read.last:
            # Mail must not be accepted for only part of a list.
            raise Temporary(incomplete)
        if position == 0:
            # Nobody is refused because an older version names them.
            return Found(position, text, incomplete if is_outdated else "", owner)
        problems = (
            [f"{self._file.path}: {abbreviate(read.problems, '; ')}"] if read.problems else []
        )
        return Found(position, text, "; ".join(filter(None, [incomplete, *problems])), owner)

    def load(self, until: float) -> None:
        """See `ReloadingFile.load`."""
        self._file.load(until)

    def close(self) -> None:
        """Nothing is open."""


class AliasesFile(VirtualFile):
    """`name: value, value` lines: aliases(5)."""

    _parse: Callable[[Iterator[str]], AliasText] = staticmethod(parse_aliases)


class Virtusertable(VirtualFile):
    """`key value` lines: Sendmail's virtusertable."""

    _parse: Callable[[Iterator[str]], AliasText] = staticmethod(parse_virtusertable)
    _fold: Callable[[str], str] = staticmethod(lowered)


class Includes:
    """The files that :include: names.

    Args:
        most: the greatest number of bytes in memory.
        clock: the time in seconds since the epoch.
    """

    def __init__(self, most: int = _MOST, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._files: LRUCache[tuple[str, int], _Cached] = LRUCache(most, lambda it: it.size)
        self._lock = threading.Lock()

    def read(self, name: str, named_by: int = 0) -> Included:
        """The members that a file lists.

        Args:
            named_by: the id of the user who owns the file with the :include:; 0 for the administrator.

        Raises:
            Temporary: it cannot be read, is empty, or was changed less than 2 seconds ago; others may write to
                it; or `name` is not an absolute path.
        """
        if not name.startswith("/"):
            raise Temporary(f":include:{name} must name an absolute path")
        key = name, named_by
        with self._lock:
            cached = self._files.get(key) or _Cached(
                ReloadingFile(
                    Path(name), _List, self._clock, rules=Rules(MAX_INCLUDE, named_by, False)
                )
            )
            self._files[key] = cached
        read = cached.file.read()
        with self._lock:
            self._files[key] = replace(cached, size=_LEAST + read.content.size)
        if not read.content.members:
            raise Temporary(f"{name} is empty; it may be incomplete")
        if read.uncertainty:
            raise Temporary(read.uncertainty)
        return Included(read.content.members, read.owner)


class _List:
    """The text of an included file, read.

    Args:
        pieces: what it says.
    """

    def __init__(self, pieces: Iterator[str]) -> None:
        text = "".join(pieces)
        self.members = members(text)
        self.size = _PER_BYTE * len(text)


@dataclass(frozen=True, slots=True)
class _Cached:
    """A file, and about how many bytes it takes in memory."""

    file: ReloadingFile[_List]
    size: int = _LEAST
