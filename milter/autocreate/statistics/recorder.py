"""What this process has decided since its start, whatever is reloaded meanwhile.

Counting costs a few microseconds a recipient, and no I/O. Each hour has a tally of its own. `save`
writes the whole hour to the journal each time, so what is written twice counts once.
"""

import json
import os
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable

from autocreate.model import Verdict
from autocreate.statistics.last_hour import LastHour
from autocreate.statistics.lookups import LookupStats
from autocreate.statistics.tally import Tally

_HOUR = 3600

# How many hours are kept that could not be written, for a journal that comes back.
_MOST_HOURS = 48


class Statistics:
    """Counts. Safe to use from several threads.

    Args:
        clock: the time in seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        # A restarted process, perhaps with the same id, writes rows of its own.
        self._writer = f"{socket.gethostname()[:64]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._lock = threading.Lock()
        self._hours: dict[int, Tally] = {}  # in order; their last state may not be written yet
        self._changed: set[int] = set()
        self._past = Tally()
        self._latest = 0
        self._last_hour = LastHour()
        self._stats: dict[str, LookupStats] = {}

    def count(
        self,
        frontend: str,
        verdict: Verdict,
        milliseconds: float,
        recipient: str = "",
        client: str = "",
    ) -> None:
        """Count a verdict: see `Tally.add`."""
        outcome = "created" if verdict.created else verdict.answer.word
        with self._lock:
            now = self._clock()
            self._tally(now).add(frontend, verdict, milliseconds, recipient, client)
            self._last_hour.add(now, frontend, outcome)

    def created(self, policy: str, domain: str) -> None:
        """Count a mailbox that was created."""
        with self._lock:
            self._tally(self._clock()).create(policy, domain)

    def stats(self, key: str) -> LookupStats:
        """The figures of an account source or a table, kept when a reload makes it anew.

        Args:
            key: as the configuration has it: "accounts.staff".
        """
        with self._lock:
            return self._stats.setdefault(key, LookupStats())

    def totals(self) -> Tally:
        """Everything since the start."""
        with self._lock:
            totals = Tally()
            totals.merge(self._past)
            for tally in self._hours.values():
                totals.merge(tally)
            return totals

    def last_hour(self) -> Counter[tuple[str, str]]:
        """How many of the last sixty minutes had which outcome, by (front end, outcome)."""
        with self._lock:
            return self._last_hour.totals(self._clock())

    def save(self, write: Callable[[int, str, str], None]) -> None:
        """Write the hours that have changed.

        Args:
            write: takes an hour's beginning in seconds since the epoch, the writer's name, and the tally
                as JSON. If it raises, so does this, and the hours are written next time.
        """
        with self._lock:
            self._turn(self._clock())
            over = [hour for hour in self._hours if hour != self._latest]
            changed = {hour: self._hours[hour].as_json() for hour in sorted(self._changed)}
            self._changed.clear()
        try:
            for hour, tally in changed.items():
                write(hour, self._writer, json.dumps(tally))
        except BaseException:
            with self._lock:
                self._changed |= changed.keys() & self._hours.keys()
                self._archive(over[:-_MOST_HOURS])
            raise
        with self._lock:
            self._archive(over)

    def _archive(self, hours: list[int]) -> None:
        for hour in hours:
            self._past.merge(self._hours.pop(hour))
            self._changed.discard(hour)

    def _turn(self, now: float) -> None:
        """Note which hour it is. A clock that is set back must not begin an hour again."""
        if not 0 <= now - self._latest < _HOUR:
            self._latest = max(self._latest, int(now) // _HOUR * _HOUR)

    def _tally(self, now: float) -> Tally:
        """The tally of this hour, to be changed."""
        self._turn(now)
        self._changed.add(self._latest)
        tally = self._hours.get(self._latest)
        if tally is None:
            tally = self._hours[self._latest] = Tally()
        return tally
