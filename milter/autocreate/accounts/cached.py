"""An account source with a memory, and with a breaker before it: the same for every kind of source.

Three bounded memories, each with a time of its own: who was found, who was not, and about whom the
answer was bad. They are apart, so that a flood of unknown names cannot push out known ones. A source
that cannot be reached is nobody's bad answer: then its breaker answers, until one probe gets through.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from cachetools import TTLCache

from autocreate.accounts import AccountSource
from autocreate.errors import PoolExhausted, Temporary, Unreachable
from autocreate.model import Account, Lookup
from autocreate.resilience.breaker import Breaker
from autocreate.statistics.lookups import LookupStats, record_lookup, record_question

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is remembered, and for how many seconds; 0 for not at all."""

    found: float
    unknown: float
    error: float
    size: int


class CachedSource:
    """An account source in front of another one.

    Args:
        source: the one to ask.
        clock: a monotonic clock, in seconds.
        stats: where to count, if they are to outlive this.
    """

    def __init__(
        self,
        source: AccountSource,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
        stats: LookupStats | None = None,
    ) -> None:
        self.name = source.name
        self.has_groups = source.has_groups
        self._source = source
        self._limits = limits
        self._clock = clock
        self._breaker = Breaker(source.name, clock=clock)
        self._stats = stats or LookupStats()
        self._accounts = _Memory(limits, clock)
        self._groups = _Memory(limits, clock)

    def lookup(self, user: str) -> Account | None:
        """See `AccountSource.lookup`."""
        return self._answer(self._accounts, user, lambda: self._source.lookup(user))

    def groups(self, account: Account) -> frozenset[str]:
        """See `AccountSource.groups`."""
        return self._answer(self._groups, account.user, lambda: self._source.groups(account))

    def names(self) -> Iterator[str] | None:
        """See `AccountSource.names`. Not remembered."""
        return self._source.names()

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def invalidate(self, user: str | None = None) -> None:
        """Ask again about a user, or about everyone."""
        if user is None:
            # An answer that is under way goes into the old memory, where nobody looks.
            self._accounts = _Memory(self._limits, self._clock)
            self._groups = _Memory(self._limits, self._clock)
        else:
            self._accounts.invalidate(user)
            self._groups.invalidate(user)

    def snapshot(self) -> dict[str, Any]:
        """The figures since the start, what is remembered now, and for how long."""
        found, unknown, errors = self._accounts.sizes()
        limits = self._limits
        return {
            **self._stats.snapshot(),
            "remembered": {
                "found": {"users": found, "seconds": limits.found},
                "unknown": {"users": unknown, "seconds": limits.unknown},
                "error": {"users": errors, "seconds": limits.error},
                "size": limits.size,
            },
        }

    def _answer(self, memory: "_Memory", user: str, ask: Callable[[], T]) -> T:
        known = memory.recall(user)
        if known is None:
            # The breaker must see a bad answer about a user as an answer, which it is.
            known = self._breaker.call(lambda: self._asked(memory, user, ask))
        else:
            self._stats.hit()
            record_lookup(Lookup(self.name, None))
        if known.error:
            raise Temporary(known.error)
        answer: T = known.answer
        return answer

    def _asked(self, memory: "_Memory", user: str, ask: Callable[[], T]) -> "_Known":
        begun, since = self._clock(), memory.moment()
        error = ""
        record_question(self.name)
        try:
            known = _Known(ask())
        except (Unreachable, PoolExhausted) as failure:
            error = str(failure)
            raise
        except Temporary as failure:
            error = str(failure)
            known = _Known(None, error)
        finally:
            seconds = self._clock() - begun
            self._stats.answered(seconds, error)
            record_lookup(Lookup(self.name, seconds * 1000, bool(error)))
        memory.remember(user, known, since)
        return known


class _Known(NamedTuple):
    """An answer, or why there is none."""

    answer: Any
    error: str = ""


class _Memory:
    """Three caches, and the lock without which a TTLCache breaks under threads."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._lock = threading.Lock()
        self._found: TTLCache[str, _Known] = TTLCache(limits.size, limits.found, clock)
        self._unknown: TTLCache[str, _Known] = TTLCache(limits.size, limits.unknown, clock)
        self._errors: TTLCache[str, _Known] = TTLCache(limits.size, limits.error, clock)
        self._caches = (self._found, self._unknown, self._errors)
        self._forgotten = 0  # how often anyone was

    def recall(self, user: str) -> _Known | None:
        with self._lock:
            return next((known for cache in self._caches if (known := cache.get(user))), None)

    def moment(self) -> int:
        """Now, for `remember`. To be taken before the source is asked."""
        return self._forgotten

    def remember(self, user: str, known: _Known, since: int) -> None:
        """Remember an answer, unless anyone was to be forgotten since it was asked for."""
        answered = self._unknown if known.answer is None else self._found
        cache = self._errors if known.error else answered
        with self._lock:
            if since == self._forgotten:
                cache[user] = known

    def invalidate(self, user: str) -> None:
        with self._lock:
            for cache in self._caches:
                cache.pop(user, None)
            self._forgotten += 1

    def sizes(self) -> list[int]:
        """How many are found, unknown, and in error."""
        with self._lock:
            for cache in self._caches:
                cache.expire()
            return [len(cache) for cache in self._caches]
