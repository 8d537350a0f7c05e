"""One process at a time works on a user, of all MTAs that share a journal on a database server.

The lock saves work, and nothing depends on it: everything that is done for a user may be done twice. So
whoever gets no lock in time, or at all, works without. See docs/decisions/0078-turns-of-a-farm.md.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from autocreate.errors import Temporary
from autocreate.resilience.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

# Seconds between two looks at a lock that another process holds: at first, and in the end.
_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.1
_MINUTE = 60.0
_MILLISECONDS = 1000.0


class Locks(Protocol):
    """Locks among all processes that share something. Each ends with the process that holds it.

    Raises:
        Temporary, from every method: no lock can be had now.
    """

    def take(self, name: str) -> bool:
        """Take a lock without waiting. False if another process holds it."""

    def release(self, name: str) -> bool:
        """Give a lock up. False if it was lost before."""


class Turns:
    """Waits for a user's turn. Safe to use from several threads.

    Args:
        locks: None if nobody shares the journal by them; then every turn begins at once.
        timeout: seconds to wait for another process.
        clock, sleep: of a monotonic clock, in seconds.
    """

    def __init__(
        self,
        locks: Locks | None = None,
        timeout: float = 4.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._locks = locks
        self._timeout = timeout
        self._clock = clock
        self._sleep = sleep
        self._log = ThrottledLog(log, _MINUTE, clock)
        self._lock = threading.Lock()  # of the figures
        self._figures = {"taken": 0, "waited": 0, "wait_ms": 0.0, "missed": 0, "failed": 0}

    @property
    def are_shared(self) -> bool:
        """May other processes have worked on a user since this one last looked?"""
        return self._locks is not None

    @contextmanager
    def turn(self, user: str) -> Iterator[bool]:
        """Work on a user. Yields whether no other process does: not if it took too long, or no lock can be had."""
        locks = self._locks
        is_ours = locks is not None and self._wait(locks, user)
        try:
            yield is_ours
        finally:
            if locks and is_ours:
                self._give_up(locks, user)

    def snapshot(self) -> dict[str, Any] | None:
        """Figures since the start; None without locks.

        `taken`: turns with a lock. `waited`: of these, after another process, for `wait_ms` milliseconds
        in all. `missed`: turns without a lock, because another process took too long. `failed`: because
        the database gave none.
        """
        if self._locks is None:
            return None
        with self._lock:
            return dict(self._figures)

    def _wait(self, locks: Locks, user: str) -> bool:
        begun = self._clock()
        pause = _FIRST_PAUSE
        try:
            while not locks.take(user):
                if self._clock() - begun >= self._timeout:
                    self._count(missed=1)
                    self._log.warning(
                        "missed",
                        "%s: another process works on this user for more than %g s; not waiting for it",
                        *(user, self._timeout),
                    )
                    return False
                self._sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 1.5)
        except Temporary as error:
            self._count(failed=1)
            self._log.warning("failed", "%s: working without a lock: %s", user, error)
            return False
        waited = self._clock() - begun if pause > _FIRST_PAUSE else 0.0
        self._count(taken=1, waited=int(waited > 0), wait_ms=waited * _MILLISECONDS)
        return True

    def _give_up(self, locks: Locks, user: str) -> None:
        try:
            if not locks.release(user):
                self._log.warning(
                    "lost",
                    "%s: its lock was lost before it was given up: the database server ended the session, "
                    "or a pooler gives each statement another one",
                    user,
                )
        except Temporary as error:
            # The lock ends with the session.
            log.debug("%s: lock not given up: %s", user, error)

    def _count(self, **more: float) -> None:
        with self._lock:
            for key, number in more.items():
                self._figures[key] += number
