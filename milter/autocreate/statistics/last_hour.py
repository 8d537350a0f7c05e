"""Verdicts of the last sixty minutes, by front end and outcome, in bounded memory."""

from collections import Counter

_MINUTES = 60


class LastHour:
    """Counts by the minute. Not for several threads at once."""

    def __init__(self) -> None:
        self._minutes = [-1] * _MINUTES  # since the epoch, of each slot
        self._counts: list[Counter[tuple[str, str]]] = [Counter() for _ in range(_MINUTES)]

    def add(self, seconds: float, frontend: str, outcome: str) -> None:
        """Count one.

        Args:
            seconds: when, since the epoch.
        """
        minute = int(seconds) // 60
        slot = minute % _MINUTES
        if self._minutes[slot] != minute:
            self._minutes[slot] = minute
            self._counts[slot] = Counter()
        self._counts[slot][frontend, outcome] += 1

    def totals(self, seconds: float) -> Counter[tuple[str, str]]:
        """The counts of the hour before `seconds`, to the minute."""
        minute = int(seconds) // 60
        totals: Counter[tuple[str, str]] = Counter()
        for slot, counts in zip(self._minutes, self._counts, strict=True):
            if minute - _MINUTES < slot <= minute:
                totals.update(counts)
        return totals
