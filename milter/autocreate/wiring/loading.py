"""Reads files that are kept in memory before somebody waits for an answer from them."""

import time
from typing import Protocol, TypeVar, runtime_checkable

# Seconds. systemd waits 90 s for the start and for a stop (TimeoutStartSec, TimeoutStopSec), which this holds up.
_LONGEST = 30.0

T = TypeVar("T")


@runtime_checkable
class Loads(Protocol):
    """A source or a table that keeps files in memory."""

    def load(self, until: float) -> None:
        """See `ReloadingFile.load`."""


class Loader:
    """Collects the sources and tables that keep files in memory."""

    def __init__(self) -> None:
        self._found: list[Loads] = []

    def noted(self, it: T) -> T:
        """The source or table itself, which is noted if it keeps files in memory."""
        if isinstance(it, Loads):
            self._found.append(it)
        return it

    def load(self) -> None:
        """Read all files. What takes too long is read on in the background, and its lookups fail (451) until then."""
        until = time.monotonic() + _LONGEST
        for it in self._found:
            it.load(until)
