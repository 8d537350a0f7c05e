"""A server that is down is tried by one caller at a time, so that it costs the others nothing."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from autocreate.errors import Refused, Temporary, Unreachable
from autocreate.resilience.health import Health

T = TypeVar("T")


class Breaker:
    """After a server's failure, fails in its place for a pause. `health` says whether it is down.

    When the pause is over, one caller's call is the trial. If it succeeds, all callers reach the server
    again; if not, the next pause is twice as long.

    Args:
        name: the server, for the message.
        first, longest: the shortest and the longest pause, in seconds.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        name: str,
        first: float = 0.5,
        longest: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._first = first
        self._longest = longest
        self._clock = clock
        self._lock = threading.Lock()
        self._pause = 0.0  # 0 while the server is thought to be well
        self._until = 0.0
        self._error = ""
        self.health = Health()

    def call(self, work: Callable[[], T]) -> T:
        """Do `work` if the server may be asked.

        Raises:
            Temporary: it is not tried again yet.
            Exception: whatever `work` raises. `Unreachable` counts as the server's failure, a result
                or `Refused` as its answer; anything else says nothing about it.
        """
        is_trial = self._admit()
        try:
            result = work()
        except Unreachable as error:
            self._failed(str(error), is_trial)
            raise
        except Refused:
            self._answered()
            raise
        except BaseException:
            if is_trial:
                self._undecided()
            raise
        self._answered()
        return result

    def _admit(self) -> bool:
        """Let a caller through, or raise. True if its call is the trial."""
        if not self._pause:  # reading a float is atomic, and the usual case must not queue
            return False
        with self._lock:
            if not self._pause:
                return False
            now = self._clock()
            if now < self._until:
                raise Temporary(f"{self._name} is not retried yet; last error: {self._error}")
            # This caller is the trial. The others wait as if it had failed, until it is over.
            self._until = now + self._longest
            return True

    def _failed(self, error: str, is_trial: bool) -> None:
        with self._lock:
            if self._pause and not is_trial:
                return  # one outage fails many calls at once; only trials count it again
            self._pause = min(self._longest, self._pause * 2) or self._first
            self._until = self._clock() + self._pause
            self._error = error
            self.health.failed(error)

    def _undecided(self) -> None:
        """A trial that says nothing about the server: the next caller's is another."""
        with self._lock:
            self._until = self._clock()

    def _answered(self) -> None:
        if self._pause or not self.health.is_up:
            with self._lock:
                self._pause = 0.0
                self.health.answered()
