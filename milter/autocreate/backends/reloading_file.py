"""A text file that another program writes, parsed once for each version of it.

The file may be read while it is being written. So something that is missing in a file that was changed less
than two seconds ago may exist all the same (Postfix treats fresh files in the same way).
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from autocreate.errors import Temporary

# Seconds without a change after which a file is complete.
_SETTLED = 2.0

T = TypeVar("T")


class ReloadingFile(Generic[T]):
    """The content of a file. Safe to use from several threads.

    Args:
        path: the file, in UTF-8.
        parse: makes the content from the text.
        clock: the time in seconds since the epoch.
        errors: how to treat bytes that are not UTF-8, as in `bytes.decode`.
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
            Temporary: the file cannot be read, is not UTF-8, or changes while it is read.
        """
        try:
            with self._lock:
                found = os.stat(self.path)
                if self._content is None or version(found) != self._version:
                    # Without the byte order mark that some editors write.
                    text = self.path.read_text(encoding="utf-8-sig", errors=self._errors)
                    if version(os.stat(self.path)) != version(found):
                        raise Temporary(f"{self.path} changes while it is read")
                    self._content = self._parse(text)
                    self._version, self._written = version(found), found.st_mtime
                return self._content
        except (OSError, UnicodeDecodeError) as error:
            raise Temporary(f"{self.path} cannot be read: {error}") from error

    def uncertainty(self) -> str:
        """Why the file may have more than `read` returned; "" if it has not."""
        if not is_settled(self._written, self._clock()):
            return f"{self.path} was changed less than 2 seconds ago and may be incomplete"
        return ""


def is_settled(written: float, now: float) -> bool:
    """Was a file last changed so long ago that it is complete?"""
    return abs(now - written) >= _SETTLED


def version(found: os.stat_result) -> tuple[int, ...]:
    """A value that changes whenever the file does."""
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
