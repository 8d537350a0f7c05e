"""One process watches, of all that share a journal: the one that holds the lease."""

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable

from autocreate.errors import Temporary
from autocreate.service.journal_watch import WatchRecords

log = logging.getLogger(__name__)

# Seconds. So long after a crash another process takes over.
SECONDS = 30.0
_MOMENT = 0.1


class Lease:
    """Holds the lease if it can, and extends it in time.

    Args:
        records: of the journal that is in use now; None while the lease is not wanted.
        changed: called when the lease was taken or lost.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        records: Callable[[], WatchRecords | None],
        changed: Callable[[], None],
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.holder = f"{socket.gethostname()[:64]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._records = records
        self._changed = changed
        self._seconds = seconds
        self._clock = clock
        self._until = float("-inf")
        self._was_ours = False

    @property
    def is_ours(self) -> bool:
        """Does this process hold the lease?"""
        return self._clock() < self._until

    def keep(self, stopping: threading.Event) -> None:
        """Take the lease, extend it, and give it up at the end."""
        while not stopping.is_set():
            self.extend()
            is_wanted = self._records() is not None
            stopping.wait(self._seconds / 3 if is_wanted else _MOMENT)
        records = self._records()
        if self.is_ours and records:
            self._until = float("-inf")
            try:
                records.release(self.holder)
            except Temporary as error:
                log.info("watch: lease not given up: %s", error)

    def extend(self) -> None:
        """Take the lease, or extend it, if that is possible now."""
        begun = self._clock()
        records = self._records()
        try:
            is_ours = records is not None and records.take(self.holder, self._seconds)
            self._until = begun + self._seconds if is_ours else float("-inf")
        except Temporary as error:
            log.debug("watch: %s", error)  # the journal logs it
        except Exception:
            log.exception("watch: a defect of this program")
        if self.is_ours != self._was_ours:
            self._was_ours = self.is_ours
            log.info(
                "watch: this process watches the accounts now"
                if self._was_ours
                else "watch: another process watches the accounts now"
            )
            self._changed()
