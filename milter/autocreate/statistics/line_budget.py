"""How many lines a minute the log gets about one kind of event, and what is known of the rest."""

import time
from collections.abc import Callable
from typing import NamedTuple

from autocreate.statistics.tally import TopK

_MINUTE = 60.0
_SHOWN = 5


class LeftOut(NamedTuple):
    """What a minute left out: how many lines, and of which clients most, each with its count."""

    lines: int
    clients: tuple[tuple[str, int], ...]


class LineBudget:
    """A number of lines for each minute. The minute begins with its first line. Not for several threads at once.

    Args:
        per_minute: 0 for no bound.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._begun = clock()
        self._lines = 0
        self._clients = TopK()

    def admits(self, client: str) -> bool:
        """May this line be logged? If not, it is counted. Call `left_out` before."""
        self._lines += 1
        if not self._per_minute or self._lines <= self._per_minute:
            return True
        self._clients.add(client)
        return False

    def left_out(self) -> LeftOut | None:
        """What the last minute left out, once it is over: told once."""
        now = self._clock()
        if now - self._begun < _MINUTE:
            return None
        lines = self._lines - self._per_minute if self._per_minute else 0
        told = LeftOut(lines, tuple(self._clients.most(_SHOWN))) if lines > 0 else None
        self._begun, self._lines, self._clients = now, 0, TopK()
        return told
