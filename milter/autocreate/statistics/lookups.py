"""Lookups in account sources and tables, and their cost: for one recipient, and since the start."""

import threading
from contextvars import ContextVar, Token
from typing import Any

from autocreate.model import Lookup
from autocreate.resilience.health import Health


class LookupTrace(list[Lookup]):
    """The lookups so far, in order. `awaited` is the source being asked now; another thread may read it."""

    awaited = ""


_trace: ContextVar[LookupTrace | None] = ContextVar("trace", default=None)


class trace_lookups:  # noqa: N801 -- it reads as a function
    """The lookups that this thread makes until the context ends.

    They are made far below the caller who wants to know of them, by code that also answers others. So
    the trace is kept beside the calls and not passed through them.

    Args:
        trace: where to write; a new one if not given.
    """

    __slots__ = ("_before", "_trace")
    _before: Token[LookupTrace | None]

    def __init__(self, trace: LookupTrace | None = None) -> None:
        self._trace = LookupTrace() if trace is None else trace

    def __enter__(self) -> LookupTrace:
        self._before = _trace.set(self._trace)
        return self._trace

    def __exit__(self, *_error: object) -> None:
        _trace.reset(self._before)


def record_question(source: str) -> None:
    """Note in the trace, if there is one, that a source is asked from now until `record_lookup`."""
    if (trace := _trace.get()) is not None:
        trace.awaited = source


def record_lookup(asked: Lookup) -> None:
    """Note an answer in the trace, if there is one."""
    if (trace := _trace.get()) is not None:
        trace.append(asked)
        trace.awaited = ""


class LookupStats:
    """Counts of one source. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hits = 0
        self._lookups = 0
        self._errors = 0
        self._seconds = 0.0
        self._last_error = ""
        self._health = Health()

    def hit(self) -> None:
        """Count an answer from a cache."""
        with self._lock:
            self._hits += 1

    def answered(self, seconds: float, error: str = "") -> None:
        """Count a lookup.

        Args:
            error: why it failed; empty if it did not.
        """
        with self._lock:
            self._lookups += 1
            self._seconds += seconds
            if error:
                self._errors += 1
                self._last_error = error
                self._health.failed(error)
            else:
                self._health.answered()

    def snapshot(self) -> dict[str, Any]:
        """The counts now, by name; `seconds` is the time of all look-ups together."""
        with self._lock:
            return {
                "hits": self._hits,
                "lookups": self._lookups,
                "errors": self._errors,
                "seconds": round(self._seconds, 6),
                "last_error": self._last_error,
                "state": self._health.snapshot(),
            }
