"""A text file that somebody else writes, parsed once for each version of it.

A file can be caught while somebody writes it, and what is missing then is not missing: so the "no" of
a file that is younger than two seconds is not final (Postfix distrusts fresh files in the same way).
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from autocreate.errors import Temporary

# Seconds that a file must have been left alone before its "no" counts.
_SETTLED = 2.0

T = TypeVar("T")


class ReloadingFile(Generic[T]):
    """A file's content. Safe to use from several threads.

    Args:
        path: the file, in UTF-8.
        parse: makes its content of its text.
        clock: the time in seconds since the epoch.
        errors: what to do with what is no UTF-8, as `str.decode` has it.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[str], T],
        clock: Callable[[], float] = time.time,
        errors: str = "strict",
    ) -> None:
        self._errors = errors
        self.path = path
        self._parse = parse
        self._clock = clock
        self._lock = threading.Lock()
        self._version: tuple[int, ...] = ()
        self._content: T | None = None
        self._written = 0.0

    def read(self) -> T:
        """The content of the file as it is now.

        Raises:
            Temporary: the file cannot be read, is no UTF-8, or changes while it is read.
        """
        try:
            with self._lock:
                found = os.stat(self.path)
                if self._content is None or version(found) != self._version:
                    # A byte order mark, as some editors write it, is no part of the first user.
                    text = self.path.read_text(encoding="utf-8-sig", errors=self._errors)
                    if version(os.stat(self.path)) != version(found):
                        raise Temporary(f"{self.path} changes while it is read")
                    self._content = self._parse(text)
                    self._version, self._written = version(found), found.st_mtime
                return self._content
        except (OSError, UnicodeDecodeError) as error:
            raise Temporary(f"{self.path} cannot be read: {error}") from error

    def doubt(self) -> str:
        """Why there may be more than what `read` returned; or nothing."""
        if not is_settled(self._written, self._clock()):
            return f"{self.path} was written just now, and may not be whole yet"
        return ""


def is_settled(written: float, now: float) -> bool:
    """Has a file been left alone for so long that what is missing in it is missing?"""
    return abs(now - written) >= _SETTLED


def version(found: os.stat_result) -> tuple[int, ...]:
    """What changes whenever a file does."""
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
