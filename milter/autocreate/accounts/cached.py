"""A cache and a circuit breaker in front of an account source, the same for every type of source.

There are three bounded caches, each with its own time: users found, users not found, and failed lookups. They
are separate, so that a flood of unknown names cannot evict known ones. A source that cannot be reached is not
a failed lookup of one user: then the breaker answers, until a probe gets through.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from autocreate.accounts import AccountSource, MemorySource
from autocreate.errors import NotInMemory, PoolExhausted, Temporary, Unreachable
from autocreate.model import Account, Lookup
from autocreate.resilience.breaker import Breaker
from autocreate.resilience.expiring import Expiring
from autocreate.statistics.lookups import LookupStats, record_lookup, record_question

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How many users are cached, and for how many seconds; 0: not at all."""

    found: float
    unknown: float
    error: float
    size: int


class CachedSource:
    """An account source that caches another one.

    Args:
        source: the one to ask.
        clock: a monotonic clock, in seconds.
        stats: where to count, if the counts must outlive this object.
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
        self._memory = source if isinstance(source, MemorySource) else None
        self._limits = limits
        self._clock = clock
        self._breaker = Breaker(source.name, clock=clock)
        self._stats = stats or LookupStats()
        self._accounts = _Cache(limits, clock)
        self._groups = _Cache(limits, clock)

    def lookup(self, user: str) -> Account | None:
        """See `AccountSource.lookup`."""
        return self._answer(self._accounts, user, lambda: self._source.lookup(user))

    def recall(self, user: str) -> Account | None:
        """See `MemorySource.recall`."""
        if self._memory:
            memory = self._memory
            return self._answer(self._accounts, user, lambda: memory.recall(user))
        # In a flood of unknown names hardly any is cached: the way back must be short.
        if self._accounts.recall(user) is None:
            raise NotInMemory(self.name)
        return self.lookup(user)

    def groups(self, account: Account) -> frozenset[str]:
        """See `AccountSource.groups`."""
        return self._answer(self._groups, account.user, lambda: self._source.groups(account))

    def names(self) -> Iterator[str] | None:
        """See `AccountSource.names`. Not cached."""
        return self._source.names()

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def invalidate(self, user: str | None = None) -> None:
        """Forget the answers about a user, or about all users."""
        if user is None:
            # An answer that arrives later goes into the old cache, which is no longer used.
            self._accounts = _Cache(self._limits, self._clock)
            self._groups = _Cache(self._limits, self._clock)
        else:
            self._accounts.invalidate(user)
            self._groups.invalidate(user)

    def snapshot(self) -> dict[str, Any]:
        """Figures since the start, how many users are cached now, and for how long."""
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

    def _answer(self, cache: "_Cache", user: str, ask: Callable[[], T]) -> T:
        known = cache.recall(user)
        if known is None:
            # To the breaker, a failed lookup of one user is an answer: the source can be reached.
            known = self._breaker.call(lambda: self._asked(cache, user, ask))
        else:
            self._stats.hit()
            record_lookup(Lookup(self.name, None))
        if known.error:
            raise Temporary(known.error)
        answer: T = known.answer
        return answer

    def _asked(self, cache: "_Cache", user: str, ask: Callable[[], T]) -> "_Known":
        begun, generation = self._clock(), cache.generation
        record_question(self.name)
        try:
            known = _Known(ask())
        except NotInMemory:
            raise  # it was not asked
        except (Unreachable, PoolExhausted) as failure:
            self._count(begun, str(failure))
            raise
        except Temporary as failure:
            known = _Known(None, str(failure))
        except BaseException as defect:
            self._count(begun, repr(defect))
            raise
        self._count(begun, known.error)
        cache.remember(user, known, generation)
        return known

    def _count(self, begun: float, error: str) -> None:
        seconds = self._clock() - begun
        self._stats.answered(seconds, error)
        record_lookup(Lookup(self.name, seconds * 1000, bool(error)))


class _Known(NamedTuple):
    """An answer, or why the lookup failed."""

    answer: Any
    error: str = ""


class _Cache:
    """Three caches with one lock."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._lock = threading.Lock()
        self._found = Expiring[_Known](limits.size, limits.found, clock)
        self._unknown = Expiring[_Known](limits.size, limits.unknown, clock)
        self._errors = Expiring[_Known](limits.size, limits.error, clock)
        self._caches = (self._found, self._unknown, self._errors)
        self.generation = 0  # how often an answer was invalidated

    def recall(self, user: str) -> _Known | None:
        with self._lock:
            return self._found.get(user) or self._unknown.get(user) or self._errors.get(user)

    def remember(self, user: str, known: _Known, generation: int) -> None:
        """Cache an answer, unless one was invalidated after `generation` was read.

        Args:
            generation: of this cache before the source was asked.
        """
        answered = self._unknown if known.answer is None else self._found
        kept = self._errors if known.error else answered
        with self._lock:
            if generation == self.generation:
                kept.put(user, known)

    def invalidate(self, user: str) -> None:
        with self._lock:
            for cache in self._caches:
                cache.drop(user)
            self.generation += 1

    def sizes(self) -> list[int]:
        """How many users are cached: found, unknown, failed."""
        with self._lock:
            return [cache.expire() for cache in self._caches]
