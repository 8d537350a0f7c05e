"""What the account sources are asked, and what it costs: for one recipient, and since the start."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from autocreate.model import Lookup


class LookupTrace(list[Lookup]):
    """Who has answered, in that order; and `awaited`, who is asked at this moment, which another thread may read."""

    awaited = ""


_notes: ContextVar[LookupTrace | None] = ContextVar("notes", default=None)


@contextmanager
def trace_lookups(notes: LookupTrace | None = None) -> Iterator[LookupTrace]:
    """Whom this thread asks until the context ends.

    The questions are put far below those who want to know, by code that answers others too; so the
    notes lie beside the call and not in it.

    Args:
        notes: where to write; new ones if not given.
    """
    notes = LookupTrace() if notes is None else notes
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


def record_question(source: str) -> None:
    """Tell whoever is noting that a source is asked from now on, until `record_lookup`."""
    if (notes := _notes.get()) is not None:
        notes.awaited = source


def record_lookup(asked: Lookup) -> None:
    """Tell whoever is noting of an answer."""
    if (notes := _notes.get()) is not None:
        notes.append(asked)
        notes.awaited = ""


class LookupStats:
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
