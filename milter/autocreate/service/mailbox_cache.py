"""The users whose mailboxes are known to exist, so that most recipients cost no I/O at all."""

import threading
import time
from collections.abc import Callable

from autocreate.resilience.expiring import Expiring


class MailboxCache:
    """A bounded memory of users whose mailboxes exist, each for a limited time.

    Every known recipient is looked up here, so a look-up takes no lock.

    Args:
        size: how many users at most; the oldest entry goes first.
        seconds: how long an entry is valid.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self, size: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._size = size
        self._seconds = seconds
        self._known: Expiring[bool] = Expiring(size, seconds, clock)
        self._generation = 0
        self._lock = threading.Lock()  # for whoever changes it

    def __contains__(self, user: str) -> bool:
        return self._known.get(user) is not None

    @property
    def generation(self) -> int:
        """How often something was discarded. Read it before looking for a mailbox: see `add`."""
        return self._generation

    def add(self, user: str, generation: int) -> None:
        """Remember that this user's mailbox exists.

        Args:
            generation: as it was before the mailbox was looked for. If something was discarded since,
                it may have been this mailbox, which is then not remembered: another look costs little.
        """
        with self._lock:
            if generation != self._generation:
                return
            self._known.put(user, True)

    def discard(self, user: str) -> None:
        """Forget a user."""
        with self._lock:
            self._known.drop(user)
            self._generation += 1

    def clear(self) -> None:
        """Forget everyone."""
        with self._lock:
            self._known.clear()
            self._generation += 1

    def snapshot(self) -> dict[str, float]:
        """How many users are remembered now, how many can be, and for how many seconds each."""
        with self._lock:
            return {"users": self._known.expire(), "size": self._size, "seconds": self._seconds}
