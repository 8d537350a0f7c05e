"""The users whose mailboxes are known to stand, so that most recipients cost no I/O at all."""

import threading
import time
from collections.abc import Callable


class MailboxCache:
    """A bounded memory of users, forgotten after a while.

    Every known recipient asks it, so it is a dictionary and no cache that keeps account of its
    readers: a look takes no lock.

    Args:
        size: how many users at most; the one believed longest is forgotten first.
        seconds: how long one is believed without another look.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self, size: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._size = size
        self._seconds = seconds
        self._clock = clock
        self._until: dict[str, float] = {}  # in the order of these times
        self._forgotten = 0  # how often anything was
        self._lock = threading.Lock()  # for whoever changes it

    def __contains__(self, user: str) -> bool:
        until = self._until.get(user)
        return until is not None and self._clock() < until

    def clear(self) -> None:
        """Believe nothing any longer."""
        with self._lock:
            self._until.clear()
            self._forgotten += 1

    def snapshot(self) -> dict[str, float]:
        """How many users are believed now, how many may be, and for how long each is."""
        with self._lock:
            now = self._clock()
            users = sum(now < until for until in self._until.values())
            return {"users": users, "size": self._size, "seconds": self._seconds}

    def discard(self, user: str) -> None:
        """Believe it no longer."""
        with self._lock:
            self._until.pop(user, None)
            self._forgotten += 1

    def moment(self) -> int:
        """Now, for `add`. To be taken before the mailbox is looked for."""
        return self._forgotten

    def add(self, user: str, since: int) -> None:
        """Believe from now on that this user's mailbox stands.

        Args:
            since: the `moment` from which it was looked for. If anything was to be believed no longer
                after that, this may be it, and is not believed: another look costs little.
        """
        with self._lock:
            if since != self._forgotten:
                return
            self._until.pop(user, None)
            while len(self._until) >= self._size:
                del self._until[next(iter(self._until))]
            self._until[user] = self._clock() + self._seconds
