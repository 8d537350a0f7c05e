"""Which domains are hosted here, by tables: all of them as one, with a short memory."""

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
    """Whether a domain is hosted here, and which tables were asked for it."""

    is_hosted: bool
    asked: tuple[Lookup, ...] = ()


def find_domain(
    domain: str,
    has_our_mailer: bool,
    names: frozenset[str],
    tables: "DomainTables | None",
    timeout: float,
) -> Hosted:
    """Is a recipient's domain ours?

    `*` among the names is for recipients who come with one of our mailers. Those without a domain
    are ours then, too.

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

    What is known of a domain is kept in two bounded memories, so that the many domains of others
    cannot push out our own.

    Args:
        flights: runs the look-ups, one at a time per domain.
        tables: a domain is hosted if any of them has it.
        size: how many domains each memory holds.
        seconds: how long it is remembered that a domain is hosted.
        unknown_seconds: how long it is remembered that one is not.
        release: closes the tables.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        flights: SingleFlight[Hosted],
        tables: Sequence[InstrumentedTable],
        size: int,
        seconds: float,
        unknown_seconds: float,
        release: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._flights = flights
        self._tables = tuple(tables)
        self._release = release
        self._hosted: TTLCache[str, bool] = TTLCache(size, seconds, clock)
        self._others: TTLCache[str, bool] = TTLCache(size, unknown_seconds, clock)
        self._lock = threading.Lock()  # a TTLCache breaks under threads, even for reading
        self._generation = 0  # how often everything was forgotten

    def find(self, domain: str, timeout: float) -> Hosted:
        """Is a domain hosted here?

        Args:
            domain: in lower-case A-labels.
            timeout: seconds to wait for the tables.

        Raises:
            Temporary: no table has it, and one of them cannot tell, or not in time.
        """
        known = self._recall(domain)
        if known is not None:
            return Hosted(known)
        generation = self._generation
        return self._flights.join(
            (generation, domain), lambda: self._looked_up(domain, generation), timeout
        )

    def is_hosted(self, domain: str) -> bool:
        """As `find`, for a thread that nobody waits for beyond a deadline of its own."""
        known = self._recall(domain)
        return self._ask(domain, self._generation) if known is None else known

    def invalidate(self) -> None:
        """Ask the tables again about every domain."""
        with self._lock:
            self._hosted.clear()
            self._others.clear()
            self._generation += 1

    def snapshot(self) -> dict[str, Any]:
        """How much is remembered, and what each table has cost since the start."""
        with self._lock:
            memories = {"hosted": self._hosted, "other": self._others}
            for memory in memories.values():
                memory.expire()
            remembered = {
                name: {"domains": len(memory), "seconds": memory.ttl}
                for name, memory in memories.items()
            }
            size = int(self._hosted.maxsize)
        stats: Mapping[str, LookupStats] = {table.name: table.stats for table in self._tables}
        tables = {name: it.snapshot() for name, it in stats.items()}
        return {"remembered": {**remembered, "size": size}, "tables": tables}

    def close(self) -> None:
        """Take no new look-ups, and close every table."""
        self._flights.close()
        self._release()

    def _recall(self, domain: str) -> bool | None:
        with self._lock:
            known = True if domain in self._hosted else self._others.get(domain)
        return known if known is not None or domain_keys(domain) else False

    def _looked_up(self, domain: str, generation: int) -> Hosted:
        with trace_lookups() as asked:
            is_hosted = self._ask(domain, generation)
        return Hosted(is_hosted, tuple(asked))

    def _ask(self, domain: str, generation: int) -> bool:
        is_hosted = self._is_in_a_table(domain_keys(domain))
        with self._lock:
            # What was asked before everything was forgotten is not remembered.
            if generation == self._generation:
                (self._hosted if is_hosted else self._others)[domain] = is_hosted
        return is_hosted

    def _is_in_a_table(self, keys: Sequence[str]) -> bool:
        doubts = []
        for table in self._tables:
            try:
                found = table.find(keys)
            except Temporary as error:
                doubts.append(f"{table.key}: {error}")
                continue
            if found.position >= 0:
                return True
            if found.doubt:
                doubts.append(f"{table.key}: {found.doubt}")
        if doubts:
            raise Temporary("; ".join(doubts))
        return False
