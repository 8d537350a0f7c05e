"""A server that is down is asked by one caller at a time, so that it costs the others nothing."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from autocreate.errors import Refused, Temporary, Unreachable

T = TypeVar("T")


class Breaker:
    """Stands before a server. After a failure it answers in the server's place for a while.

    The while doubles with each failed trial. When it is over, one caller's call is the trial:
    if it succeeds everyone is let through again, else all wait on.

    Args:
        name: the server, for the message.
        first, longest: the shortest and the longest while, in seconds.
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
        self._while = 0.0  # 0 while the server is thought to be well
        self._until = 0.0
        self._error = ""

    def call(self, work: Callable[[], T]) -> T:
        """Do `work` if the server may be asked.

        Raises:
            Temporary: it may not be asked yet.
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
        if not self._while:  # reading a float is atomic, and the usual case must not queue
            return False
        with self._lock:
            if not self._while:
                return False
            now = self._clock()
            if now < self._until:
                raise Temporary(f"{self._name} is not asked again yet; last: {self._error}")
            # This caller is the trial. The others wait as if it had failed, until it is over.
            self._until = now + self._longest
            return True

    def _failed(self, error: str, is_trial: bool) -> None:
        with self._lock:
            if self._while and not is_trial:
                return  # one outage fails many calls at once; only trials count it again
            self._while = min(self._longest, self._while * 2) or self._first
            self._until = self._clock() + self._while
            self._error = error

    def _undecided(self) -> None:
        """A trial that says nothing about the server: the next caller's is another."""
        with self._lock:
            self._until = self._clock()

    def _answered(self) -> None:
        if self._while:
            with self._lock:
                self._while = 0.0
