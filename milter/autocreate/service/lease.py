"""One process does something, of all that share a journal: the one that holds the lease for it."""

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable

from autocreate.errors import Temporary
from autocreate.service.holders import holder_of, is_dead
from autocreate.service.journal_leases import JournalLease

log = logging.getLogger(__name__)

# Seconds. So long after a crash another process takes over.
SECONDS = 30.0
_MOMENT = 0.1


class Lease:
    """Holds the lease if it can, and extends it in time.

    Args:
        duty: what it is for, as the log says it: "watches the accounts".
        record: in the journal that is in use now; None while the lease is not wanted.
        changed: called when the lease was taken or lost.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        duty: str,
        record: Callable[[], JournalLease | None],
        changed: Callable[[], None],
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.holder = holder_of(os.getpid(), secrets.token_hex(4))
        self._duty = duty
        self._record = record
        self._changed = changed
        self._seconds = seconds
        self._clock = clock
        self._until = float("-inf")
        self._next = float("-inf")
        self._was_ours = False

    @property
    def is_ours(self) -> bool:
        """Does this process hold the lease?"""
        return self._clock() < self._until

    def keep(self, stopping: threading.Event) -> None:
        """Take the lease, extend it, and give it up at the end."""
        while not stopping.is_set():
            self.extend()
            is_wanted = self._record() is not None
            stopping.wait(self._seconds / 3 if is_wanted else _MOMENT)
        self.give_up()

    def refresh(self) -> bool:
        """Take the lease or extend it, if it is time to. Does this process hold it now?"""
        if self._clock() >= self._next:
            self.extend()
        return self.is_ours

    def give_up(self) -> None:
        """Let another process have it at once."""
        record = self._record()
        if self.is_ours and record:
            self._until = float("-inf")
            try:
                record.release(self.holder)
            except Temporary as error:
                log.info("lease not given up (%s): %s", self._duty, error)

    def extend(self) -> None:
        """Take the lease, or extend it, if that is possible now."""
        begun = self._clock()
        record = self._record()
        self._next = begun + (self._seconds / 3 if record else _MOMENT)
        try:
            is_ours = record is not None and self._take(record)
            self._until = begun + self._seconds if is_ours else float("-inf")
        except Temporary as error:
            log.debug("lease not extended (%s): %s", self._duty, error)  # the journal logs it
        except Exception:
            log.exception("a defect of this program, with a lease (%s)", self._duty)
        if self.is_ours != self._was_ours:
            self._was_ours = self.is_ours
            who = "this" if self._was_ours else "another"
            log.info("%s process %s now", who, self._duty)
            self._changed()

    def _take(self, record: JournalLease) -> bool:
        if record.take(self.holder, self._seconds):
            return True
        other = record.holder()
        if not is_dead(other):
            return False
        # A process of this machine that was killed: it is not waited for.
        record.release(other)
        return record.take(self.holder, self._seconds)
