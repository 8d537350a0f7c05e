"""The users whose mailboxes are known to stand, so that most recipients cost no I/O at all."""

import threading
import time
from collections.abc import Callable

from cachetools import TTLCache


class Ready:
    """A bounded memory of users, forgotten after a while.

    Args:
        size: how many users at most; the least recently used is forgotten first.
        seconds: how long one is believed without another look.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self, size: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._users: TTLCache[str, bool] = TTLCache(size, seconds, clock)
        self._forgotten = 0  # how often anything was
        self._lock = threading.Lock()  # a TTLCache breaks under threads, even for reading

    def __contains__(self, user: str) -> bool:
        with self._lock:
            return self._users.get(user, False)

    def clear(self) -> None:
        """Believe nothing any longer."""
        with self._lock:
            self._users.clear()
            self._forgotten += 1

    def snapshot(self) -> dict[str, float]:
        """How many users are believed now, how many may be, and for how long each is."""
        with self._lock:
            self._users.expire()
            return {
                "users": len(self._users),
                "size": int(self._users.maxsize),
                "seconds": self._users.ttl,
            }

    def discard(self, user: str) -> None:
        """Believe it no longer."""
        with self._lock:
            self._users.pop(user, None)
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
            if since == self._forgotten:
                self._users[user] = True
