"""What the watch keeps: marks of sources, the brake that stopped it, and how many mailboxes it created lately.

In dry run nothing is written, so that what was only shown is done once dry run is over.
"""

import json
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

_STOPPED = "stopped"
_CREATED = "created"
# Seconds. What is created within this time counts as created at once.
_HOUR = 3600.0
# Parts of an hour that are counted as one.
_MINUTE = 60.0


class Texts(Protocol):
    """Short texts by name: see `WatchRecords`."""

    def get(self, name: str) -> str | None: ...

    def put(self, name: str, value: str) -> None: ...

    def drop(self, name: str) -> None: ...


class Unwritten:
    """Texts that are read from others, and written nowhere."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._own: dict[str, str | None] = {}

    def get(self, name: str) -> str | None:
        return self._own[name] if name in self._own else self._texts.get(name)

    def put(self, name: str, value: str) -> None:
        self._own[name] = value

    def drop(self, name: str) -> None:
        self._own[name] = None


class Stopped(NamedTuple):
    """Why the watch has stopped.

    Args:
        at: when, in seconds since the epoch.
        new: how many mailboxes it was to create, at least.
        why: in a sentence.
    """

    at: float
    new: int
    why: str


class Records:
    """What the watch keeps. Every method raises `Temporary` if the journal cannot be used.

    Args:
        clock: the time in seconds since the epoch.
    """

    def __init__(self, texts: Texts, clock: Callable[[], float] = time.time) -> None:
        self._texts = texts
        self._clock = clock

    def mark(self, source: str) -> str | None:
        """Up to where a source was read."""
        return self._texts.get(f"mark:{source}")

    def keep_mark(self, source: str, mark: str) -> None:
        """Keep up to where a source was read."""
        self._texts.put(f"mark:{source}", mark)

    def stopped(self) -> Stopped | None:
        """Why the watch has stopped; None if it has not."""
        text = self._texts.get(_STOPPED)
        return Stopped(*json.loads(text)) if text else None

    def stop(self, stopped: Stopped) -> None:
        """Note that the watch has stopped."""
        self._texts.put(_STOPPED, json.dumps(stopped))

    def resume(self) -> None:
        """Let the watch go on. What was created so far counts no more."""
        self._texts.drop(_CREATED)
        self._texts.drop(_STOPPED)

    def created_lately(self) -> int:
        """How many mailboxes the watch has created within an hour."""
        return sum(count for _, count in self._lately())

    def count_created(self, count: int) -> None:
        """Count mailboxes that were created just now."""
        now = self._clock()
        lately = self._lately()
        if lately and now - lately[-1][0] < _MINUTE:
            at, before = lately.pop()
            lately.append((at, before + count))
        else:
            lately.append((now, count))
        self._texts.put(_CREATED, json.dumps(lately))

    def _lately(self) -> list[tuple[float, int]]:
        now = self._clock()
        kept = json.loads(self._texts.get(_CREATED) or "[]")
        return [(at, count) for at, count in kept if abs(now - at) < _HOUR]
