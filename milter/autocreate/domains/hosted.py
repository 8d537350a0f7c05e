"""Which domains are hosted here: all tables of domains as one, with a cache."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from cachetools import TTLCache

from autocreate.aliases.tables import InstrumentedTable
from autocreate.domains.syntax import ANY_DOMAIN, domain_keys
from autocreate.errors import Temporary
from autocreate.model import Lookup
from autocreate.resilience.single_flight import SingleFlight
from autocreate.statistics.lookups import LookupStats, trace_lookups


class Hosted(NamedTuple):
    """Whether a domain is hosted here, and which tables were asked."""

    is_hosted: bool
    asked: tuple[Lookup, ...] = ()


def find_domain(
    domain: str,
    has_our_mailer: bool,
    names: frozenset[str],
    tables: "DomainTables | None",
    timeout: float,
) -> Hosted:
    """Is a recipient's domain hosted here?

    `*` among the names counts for recipients with one of our mailers, as does an address without a domain.

    Args:
        domain: in lower-case A-labels; empty if the recipient has none.
        timeout: seconds to wait for the tables.

    Raises:
        Temporary: see `DomainTables.find`.
    """
    if domain in names or (has_our_mailer and (not domain or ANY_DOMAIN in names)):
        return Hosted(True)
    return tables.find(domain, timeout) if domain and tables else Hosted(False)


class DomainTables:
    """Which domains are hosted here. Safe to use from several threads.

    There are two bounded caches, so that the many domains of others cannot evict our own.

    Args:
        single_flight: runs the lookups, one at a time per domain.
        tables: a domain is hosted if any of them has it.
        size: the greatest number of domains in each cache.
        seconds: for which a hosted domain is cached.
        unknown_seconds: for which another domain is cached.
        release: closes the tables.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        single_flight: SingleFlight[Hosted],
        tables: Sequence[InstrumentedTable],
        size: int,
        seconds: float,
        unknown_seconds: float,
        release: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._single_flight = single_flight
        self._tables = tuple(tables)
        self._release = release
        self._hosted: TTLCache[str, bool] = TTLCache(size, seconds, clock)
        self._others: TTLCache[str, bool] = TTLCache(size, unknown_seconds, clock)
        self._lock = threading.Lock()  # a TTLCache is not thread-safe, not even for reading
        self._generation = 0  # how often the caches were invalidated

    def find(self, domain: str, timeout: float) -> Hosted:
        """Is a domain hosted here?

        Args:
            domain: in lower-case A-labels.
            timeout: seconds to wait for the tables.

        Raises:
            Temporary: no table has it, and one of them cannot tell, or does not answer in time.
        """
        known = self._recall(domain)
        if known is not None:
            return Hosted(known)
        generation = self._generation
        return self._single_flight.join(
            (generation, domain), lambda: self._traced(domain, generation), timeout
        )

    def is_hosted(self, domain: str) -> bool:
        """As `find`, without a deadline: for a thread that may take as long as the tables do."""
        known = self._recall(domain)
        return self._ask(domain, self._generation) if known is None else known

    def invalidate(self) -> None:
        """Forget the answers about all domains."""
        with self._lock:
            self._hosted.clear()
            self._others.clear()
            self._generation += 1

    def snapshot(self) -> dict[str, Any]:
        """How many domains are cached, and figures of each table since the start."""
        with self._lock:
            caches = {"hosted": self._hosted, "other": self._others}
            for cache in caches.values():
                cache.expire()
            remembered = {
                name: {"domains": len(cache), "seconds": cache.ttl}
                for name, cache in caches.items()
            }
            size = int(self._hosted.maxsize)
        stats: Mapping[str, LookupStats] = {table.name: table.stats for table in self._tables}
        tables = {name: it.snapshot() for name, it in stats.items()}
        return {"remembered": {**remembered, "size": size}, "tables": tables}

    def close(self) -> None:
        """Accept no more lookups, and close every table."""
        self._single_flight.close()
        self._release()

    def _recall(self, domain: str) -> bool | None:
        with self._lock:
            known = True if domain in self._hosted else self._others.get(domain)
        return known if known is not None or domain_keys(domain) else False

    def _traced(self, domain: str, generation: int) -> Hosted:
        with trace_lookups() as asked:
            is_hosted = self._ask(domain, generation)
        return Hosted(is_hosted, tuple(asked))

    def _ask(self, domain: str, generation: int) -> bool:
        is_hosted = self._is_in_a_table(domain_keys(domain))
        with self._lock:
            # An answer from before an invalidation is not cached.
            if generation == self._generation:
                (self._hosted if is_hosted else self._others)[domain] = is_hosted
        return is_hosted

    def _is_in_a_table(self, keys: Sequence[str]) -> bool:
        errors = []
        for table in self._tables:
            try:
                found = table.find(keys)
            except Temporary as error:
                errors.append(f"{table.key}: {error}")
                continue
            if found.position >= 0:
                return True
            if found.uncertainty:
                errors.append(f"{table.key}: {found.uncertainty}")
        if errors:
            raise Temporary("; ".join(errors))
        return False
