"""Where an address leads: all tables of aliases as one, with a short memory."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cachetools import TTLCache

from autocreate.aliases.expansion import resolve
from autocreate.aliases.stages import Table
from autocreate.model import Address, Lookup, Resolution
from autocreate.resilience.single_flight import SingleFlight
from autocreate.statistics.lookups import LookupStats, trace_lookups

_Key = tuple[Address, bool]


class Aliases:
    """Where an address leads. Safe to use from several threads.

    Args:
        single_flight: runs the look-ups, one at a time per address.
        tables: asked in this order.
        domains: ours, as `autocreate.aliases.expansion.resolve` takes them.
        delimiters: the characters that begin a detail.
        size, seconds: how many addresses are remembered, and for how long.
        stats: counts of lookups and their cost, by table.
        release: closes the tables.
        clock: a monotonic clock, in seconds.
        is_hosted: tells of further domains whether they are ours, as `resolve` takes it.
    """

    def __init__(
        self,
        single_flight: SingleFlight[Resolution],
        tables: Sequence[Table],
        domains: frozenset[str],
        delimiters: str,
        size: int = 10_000,
        seconds: float = 10.0,
        stats: Mapping[str, LookupStats] | None = None,
        release: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        is_hosted: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._single_flight = single_flight
        self._tables = tuple(tables)
        self._domains = domains
        self._delimiters = delimiters
        self._is_hosted = is_hosted
        self._stats = stats or {}
        self._release = release
        self._known: TTLCache[_Key, Resolution] = TTLCache(size, seconds, clock)
        self._lock = threading.Lock()  # a TTLCache breaks under threads, even for reading

    def resolve(self, address: Address, is_mapped: bool, timeout: float) -> Resolution:
        """Where `address` leads; as it is remembered, or else by the tables.

        Args:
            is_mapped: the MTA has made a local name of it already, as Sendmail does.
            timeout: seconds to wait for them.

        Raises:
            Temporary: a lookup failed or took too long, or the aliases form a loop.
        """
        return self.recall(address, is_mapped) or self._single_flight.join(
            (address, is_mapped),
            lambda: self._resolved(address, is_mapped),
            timeout,
        )

    def recall(self, address: Address, is_mapped: bool) -> Resolution | None:
        """Where `address` leads as far as it is remembered: the same object each time."""
        with self._lock:
            return self._known.get((address, is_mapped))

    def remember(self, address: Address, is_mapped: bool, resolution: Resolution) -> None:
        """Remember this for a while. Not to be called for unknown addresses: the next alias may be theirs."""
        if resolution.remembered:
            return  # not for longer, and not again if it was invalidated meanwhile
        with self._lock:
            known = replace(resolution, asked=(), remembered=True)
            self._known.setdefault((address, is_mapped), known)

    def invalidate(self, address: Address | None = None, is_mapped: bool = False) -> None:
        """Ask the tables again about an address, or about all addresses."""
        with self._lock:
            if address is None:
                self._known.clear()
            else:
                self._known.pop((address, is_mapped), None)

    def snapshot(self) -> dict[str, Any]:
        """How much is remembered, and what each table has cost since the start."""
        with self._lock:
            self._known.expire()
            remembered = {
                "addresses": len(self._known),
                "size": int(self._known.maxsize),
                "seconds": self._known.ttl,
            }
        tables = {name: stats.snapshot() for name, stats in self._stats.items()}
        return {"remembered": remembered, "tables": tables}

    def close(self) -> None:
        """Take no new look-ups, and close every table's connections and files."""
        self._single_flight.close()
        self._release()

    def _resolved(self, address: Address, is_mapped: bool) -> Resolution:
        with trace_lookups() as asked:
            found = resolve(
                address,
                self._tables,
                self._domains,
                self._delimiters,
                is_mapped,
                self._is_hosted,
            )
        # A list may ask a table a thousand times: one line a table is enough.
        tables: dict[str, Lookup] = {}
        for table, milliseconds, failed in asked:
            _, spent, has_failed = tables.get(table, Lookup(table, 0.0))
            tables[table] = Lookup(
                table, (spent or 0.0) + (milliseconds or 0.0), failed or has_failed
            )
        return replace(found, asked=tuple(tables.values()))
