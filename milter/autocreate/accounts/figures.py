"""What the account sources are asked, and what it costs: for one recipient, and since the start."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from autocreate.model import Asked

_asked: ContextVar[list[Asked] | None] = ContextVar("asked", default=None)


@contextmanager
def noting() -> Iterator[list[Asked]]:
    """Whom this thread asks until the context ends, in that order.

    The questions are put far below those who want to know, by code that answers others too; so the
    notes lie beside the call and not in it.
    """
    noted: list[Asked] = []
    token = _asked.set(noted)
    try:
        yield noted
    finally:
        _asked.reset(token)


def note(asked: Asked) -> None:
    """Tell whoever is noting, if anybody is."""
    noted = _asked.get()
    if noted is not None:
        noted.append(asked)


class Figures:
    """Counts of one source. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hits = 0
        self._lookups = 0
        self._errors = 0
        self._seconds = 0.0
        self._last_error = ""

    def hit(self) -> None:
        """A cache knew."""
        with self._lock:
            self._hits += 1

    def answered(self, seconds: float, error: str = "") -> None:
        """The source was asked.

        Args:
            error: why it could not tell, if it could not.
        """
        with self._lock:
            self._lookups += 1
            self._seconds += seconds
            if error:
                self._errors += 1
                self._last_error = error

    def snapshot(self) -> dict[str, Any]:
        """The counts now, by name; `seconds` is the time of all look-ups together."""
        with self._lock:
            return {
                "hits": self._hits,
                "lookups": self._lookups,
                "errors": self._errors,
                "seconds": round(self._seconds, 6),
                "last_error": self._last_error,
            }
