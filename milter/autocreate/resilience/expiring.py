"""Values that count for a limited time, by name."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Expiring(Generic[T]):
    """Values that count for so many seconds. The oldest is dropped first.

    All last equally long, so the oldest expires first. A cache for any use, as cachetools has it, takes several
    times as long, for each recipient. Whoever changes it needs a lock; `get` needs none.

    Args:
        size: how many at most.
        seconds: how long a value counts.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, size: int, seconds: float, clock: Callable[[], float]) -> None:
        self._size = size
        self._seconds = seconds
        self._clock = clock
        # In the order of these times. To remove the first of a plain dictionary takes ever longer.
        self._kept: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def get(self, name: str) -> T | None:
        """The value of a name, if there is one that counts."""
        kept = self._kept.get(name)
        return kept[1] if kept and self._clock() < kept[0] else None

    def put(self, name: str, value: T) -> None:
        """Keep a value."""
        self.drop(name)
        self._kept[name] = self._clock() + self._seconds, value
        self.expire()
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def drop(self, name: str) -> None:
        """Forget a value, if there is one."""
        self._kept.pop(name, None)

    def clear(self) -> None:
        """Forget all values."""
        self._kept.clear()

    def expire(self) -> int:
        """Drop the values that do not count any more. Returns how many are left."""
        now = self._clock()
        while self._kept and next(iter(self._kept.values()))[0] <= now:
            self._kept.popitem(last=False)
        return len(self._kept)
