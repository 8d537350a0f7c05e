"""Whether a server answered when it was last asked, since when, and why not."""

import threading
import time
from collections.abc import Callable
from typing import Any


class Health:
    """The state of a server. Safe to use from several threads.

    Args:
        clock: the time in seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._is_up: bool | None = None
        self._since = 0.0
        self._error = ""
        self._lock = threading.Lock()

    @property
    def is_up(self) -> bool | None:
        """None if it has not been asked yet."""
        return self._is_up

    def answered(self) -> None:
        """Note an answer."""
        if self._is_up:
            return  # the usual case
        with self._lock:
            self._is_up, self._since, self._error = True, self._clock(), ""

    def failed(self, error: str) -> None:
        """Note a failure, and what is said to be its reason now."""
        with self._lock:
            if self._is_up is not False:
                self._is_up, self._since = False, self._clock()
            self._error = error

    def snapshot(self) -> dict[str, Any]:
        """`up`, None if it has not been asked yet; `since`, seconds since the epoch; `error`."""
        with self._lock:
            return {"up": self._is_up, "since": self._since, "error": self._error}
