"""Aliases in text files, which are read again whenever they change.

A file that is being written may be incomplete: see `autocreate.backends.reloading_file`.
"""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cachetools import LRUCache

from autocreate.aliases.stages import Found
from autocreate.aliases.syntax import (
    AliasText,
    abbreviate,
    folded,
    lowered,
    members,
    parse_aliases,
    parse_table,
    parse_virtusertable,
)
from autocreate.backends.reloading_file import ReloadingFile
from autocreate.errors import Temporary


class VirtualFile:
    """`key value` lines: virtual(5) and canonical(5).

    Args:
        name: what the configuration calls this table.
        path: the text file, not the database that is made from it.
        clock: the time in seconds since the epoch.
    """

    _parse: Callable[[str], AliasText] = staticmethod(parse_table)
    _fold: Callable[[str], str] = staticmethod(folded)

    def __init__(self, name: str, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self._file = ReloadingFile(path, self._parse, clock)

    def find(self, keys: Sequence[str]) -> Found:
        """See `AliasTable.find`."""
        read = self._file.read()
        incomplete = self._file.uncertainty()
        names = [self._fold(key) for key in keys]
        position = next((at for at, name in enumerate(names) if name in read.entries), -1)
        if incomplete and position >= 0 and names[position] == read.last:
            # Mail must not be accepted for only part of a list.
            raise Temporary(incomplete)
        text = read.entries[names[position]] if position >= 0 else ""
        if position == 0:
            return Found(position, text)
        problems = (
            [f"{self._file.path}: {abbreviate(read.problems, '; ')}"] if read.problems else []
        )
        return Found(position, text, "; ".join(filter(None, [incomplete, *problems])))

    def close(self) -> None:
        """Nothing is open."""


class AliasesFile(VirtualFile):
    """`name: value, value` lines: aliases(5)."""

    _parse: Callable[[str], AliasText] = staticmethod(parse_aliases)


class Virtusertable(VirtualFile):
    """`key value` lines: Sendmail's virtusertable."""

    _parse: Callable[[str], AliasText] = staticmethod(parse_virtusertable)
    _fold: Callable[[str], str] = staticmethod(lowered)


class Includes:
    """The files that :include: names.

    Args:
        most: the greatest number of files in memory.
        clock: the time in seconds since the epoch.
    """

    def __init__(self, most: int = 1000, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._files: LRUCache[str, ReloadingFile[str]] = LRUCache(most)
        self._lock = threading.Lock()

    def read(self, name: str) -> str:
        """The text of a file.

        Raises:
            Temporary: it cannot be read, is empty, or was changed less than 2 seconds ago; or `name` is not
                an absolute path.
        """
        if not name.startswith("/"):
            raise Temporary(f":include:{name} must name an absolute path")
        with self._lock:
            file = self._files.get(name)
            if file is None:
                file = self._files[name] = ReloadingFile(Path(name), _members, self._clock)
        text = file.read()
        if not text:
            raise Temporary(f"{name} is empty; it may be incomplete")
        if uncertainty := file.uncertainty():
            raise Temporary(uncertainty)
        return text


def _members(text: str) -> str:
    """A text; "" if it has only comments."""
    return text if members(text) else ""
