"""Whom an address stands for: all tables of aliases as one, with a short memory."""

import threading
import time
from collections.abc import Callable, Sequence

from cachetools import TTLCache

from autocreate.core.aliases import Table, resolve
from autocreate.flights import Flights
from autocreate.model import Address, Resolution


class Aliases:
    """Whom an address stands for. Safe to use from several threads.

    Args:
        flights: runs the look-ups, one at a time per address.
        tables: asked in this order.
        domains: ours, as `autocreate.core.aliases.resolve` takes them.
        delimiters: what begins a detail.
        size, seconds: how many addresses are remembered, and for how long.
        release: lets go of the tables.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        flights: Flights[Resolution],
        tables: Sequence[Table],
        domains: frozenset[str],
        delimiters: str,
        size: int = 10_000,
        seconds: float = 10.0,
        release: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._flights = flights
        self._tables = tuple(tables)
        self._domains = domains
        self._delimiters = delimiters
        self._release = release
        self._known: TTLCache[Address, Resolution] = TTLCache(size, seconds, clock)
        self._lock = threading.Lock()  # a TTLCache breaks under threads, even for reading

    def resolve(self, address: Address, timeout: float) -> Resolution:
        """Whom `address` stands for; as it is remembered, or else by the tables.

        Args:
            timeout: seconds to wait for them.

        Raises:
            Temporary: a table cannot tell, or not in time, or the aliases have no end.
        """
        with self._lock:
            known = self._known.get(address)
        return known or self._flights.join(
            str(address),
            lambda: resolve(address, self._tables, self._domains, self._delimiters),
            timeout,
        )

    def remember(self, address: Address, resolution: Resolution) -> None:
        """Believe this for a while. Not for those who are unknown: the next alias may be theirs."""
        with self._lock:
            self._known.setdefault(address, resolution)

    def close(self) -> None:
        """Take no new look-ups and let go of every table's connections and files."""
        self._flights.close()
        self._release()
