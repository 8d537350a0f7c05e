"""Aliases in text files, read by this program itself and again whenever they change."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cachetools import LRUCache

from autocreate.accounts.watched import Watched
from autocreate.core.aliases import Found
from autocreate.core.aliastext import AliasText, few, folded, parse_aliases, parse_table
from autocreate.errors import Temporary


class VirtualFile:
    """`key value` lines: virtual(5), or Sendmail's virtusertable.

    Args:
        name: what the configuration calls this table.
        path: the text, not a database made of it.
        clock: the time in seconds since the epoch.
    """

    _parse: Callable[[str], AliasText] = staticmethod(parse_table)

    def __init__(self, name: str, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self._file = Watched(path, self._parse, clock)

    def find(self, keys: Sequence[str]) -> Found:
        """See `AliasTable.find`."""
        read = self._file.read()
        for index, key in enumerate(keys):
            text = read.entries.get(folded(key))
            if text is not None:
                return Found(index, text)
        problems = [f"{self._file.path}: {few(read.problems, '; ')}"] if read.problems else []
        return Found(doubt="; ".join(filter(None, [self._file.doubt(), *problems])))

    def close(self) -> None:
        """Nothing is held open."""


class AliasesFile(VirtualFile):
    """`name: value, value` lines: aliases(5)."""

    _parse: Callable[[str], AliasText] = staticmethod(parse_aliases)


class Includes:
    """The files that :include: names.

    Args:
        most: how many are kept in memory.
    """

    def __init__(self, most: int = 1000) -> None:
        self._files: LRUCache[str, Watched[str]] = LRUCache(most)
        self._lock = threading.Lock()

    def read(self, name: str) -> str:
        """The text of a file.

        Raises:
            Temporary: it cannot be read, or `name` is not an absolute path.
        """
        if not name.startswith("/"):
            raise Temporary(f":include:{name} must name an absolute path")
        with self._lock:
            file = self._files.get(name) or self._files.setdefault(name, Watched(Path(name), str))
        return file.read()
