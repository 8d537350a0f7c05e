"""Log lines that others can cause at will: once per period for each cause, with a count of the rest.

A process that serves calls `flush_all` now and then, so that no count waits for the next line.
"""

import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

# How many causes are told apart. A local user can have many user ids (subuid(5)).
_MOST = 256
_OTHERS = object()

# All logs of the process. The lock is for the set.
_logs: "WeakSet[ThrottledLog]" = WeakSet()
_logs_lock = threading.Lock()


def flush_all() -> None:
    """Log what was left out in periods that are over, whichever log it was."""
    with _logs_lock:
        logs = list(_logs)
    for it in logs:
        it.flush()


@dataclass(slots=True)
class _Cause:
    """A cause: when it was logged, its line, and how often it came since."""

    logged: float
    level: int
    line: str
    left_out: int = 0


class ThrottledLog:
    """Logs the first line of each cause at once. Further ones are counted, and the count is in the next
    line. Safe to use from several threads.

    Args:
        log: where the lines go.
        seconds: the period.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        log: logging.Logger,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._seconds = seconds
        self._clock = clock
        self._causes: dict[Hashable, _Cause] = {}
        self._lock = threading.Lock()
        with _logs_lock:
            _logs.add(self)

    def log(
        self, level: int, key: Hashable, text: str, *values: Any, exc_info: bool = False
    ) -> None:
        """Log a line, unless its cause had one within the period.

        Args:
            key: the cause. If there are too many, the further ones share a line.
            text, values, exc_info: as for `logging.Logger.log`.
        """
        now = self._clock()
        with self._lock:
            if key not in self._causes and len(self._causes) >= _MOST:
                self._drop_old(now)
                key = key if len(self._causes) < _MOST else _OTHERS
            cause = self._causes.get(key)
            if cause and now - cause.logged < self._seconds:
                cause.left_out += 1
                return
            left_out = cause.left_out if cause else 0
            line = text % values if values else text
            self._causes[key] = _Cause(now, level, line)
        self._write(level, line, left_out, exc_info)

    def warning(self, key: Hashable, text: str, *values: Any) -> None:
        """`log` at the level of a warning."""
        self.log(logging.WARNING, key, text, *values)

    def flush(self) -> None:
        """Log what was left out in periods that are over."""
        now = self._clock()
        with self._lock:
            due = [
                it
                for it in self._causes.values()
                if it.left_out and now - it.logged >= self._seconds
            ]
            lines = [(it.level, it.line, it.left_out) for it in due]
            for cause in due:
                cause.logged, cause.left_out = now, 0
        for line in lines:
            self._write(*line)

    def _drop_old(self, now: float) -> None:
        self._causes = {
            key: it
            for key, it in self._causes.items()
            if it.left_out or now - it.logged < self._seconds
        }

    def _write(self, level: int, line: str, left_out: int, exc_info: bool = False) -> None:
        more = f" ({left_out} more since the last such line)" if left_out else ""
        self._log.log(level, "%s%s", line, more, exc_info=exc_info)
