"""The brake: how many mailboxes may be created in a minute, in all and for one domain.

It is about mailboxes that mail or a login would create. Users whose mailbox exists are not affected,
and commands of the administrator have no limit.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from autocreate.core.bucket import Bucket
from autocreate.core.printable import counted
from autocreate.errors import CreationLimited
from autocreate.resilience.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

_MINUTE = 60.0
# Buckets of domains that are kept before the full ones are dropped.
_MOST_DOMAINS = 1000

IN_ALL = "creations_per_minute"
PER_DOMAIN = "creations_per_minute_per_domain"


class _Counts:
    """What is counted for as long as the process lives, whatever is reloaded."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.lock = threading.Lock()
        self.in_all = Bucket()
        self.domains: dict[str, Bucket] = {}
        self.deferred: Counter[str] = Counter()
        self.log = ThrottledLog(log, _MINUTE, clock)


class CreationLimit:
    """Safe to use from several threads.

    Args:
        in_all, per_domain: mailboxes a minute, or None for no limit. As many may be created at once
            after a minute without any.
        before: the limit that this one takes over from, with its counts.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        in_all: int | None = None,
        per_domain: int | None = None,
        before: "CreationLimit | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._in_all = in_all
        self._per_domain = per_domain
        self._counts: _Counts = before._counts if before else _Counts(clock)

    @contextmanager
    def creation(self, domain: str) -> Iterator[Callable[[], None]]:
        """The attempt to create a mailbox. Yields what to call once it is created: else it does not count.

        Args:
            domain: that the mailbox is for.

        Raises:
            CreationLimited: not in this minute.
        """
        taken = self._take(domain)
        try:
            yield taken.clear
        finally:
            with self._counts.lock:
                for bucket in taken:
                    bucket.take(-1.0)

    def snapshot(self) -> dict[str, Any] | None:
        """The limits, and how often each deferred a mailbox since the start; None without limits."""
        limits = {IN_ALL: self._in_all, PER_DOMAIN: self._per_domain}
        shown = {
            name: {"limit": limit, "deferred": self._counts.deferred[name]}
            for name, limit in limits.items()
            if limit is not None
        }
        return shown or None

    def _take(self, domain: str) -> list[Bucket]:
        counts = self._counts
        wanted: list[tuple[str, int, Bucket]] = []
        with counts.lock:
            now = counts.clock()
            if self._in_all is not None:
                wanted.append((IN_ALL, self._in_all, counts.in_all))
            if self._per_domain is not None:
                wanted.append((PER_DOMAIN, self._per_domain, self._bucket(domain, now)))
            reached = [it for it in wanted if not it[2].has_room(it[1], now)]
            for name, _, _ in reached:
                counts.deferred[name] += 1
            if not reached:
                for _, _, bucket in wanted:
                    bucket.take()
                return [bucket for _, _, bucket in wanted]
        name, limit, _ = reached[0]
        where = f" for {domain}" if name == PER_DOMAIN else ""
        # One cause, so that there is one line a minute whatever is reached.
        counts.log.warning(
            "reached",
            "limits.%s: %s created within a minute%s; further ones are deferred (451)",
            *(name, counted(limit, "mailbox was", "mailboxes were"), where),
        )
        raise CreationLimited(f"too many new mailboxes in this minute: limits.{name}")

    def _bucket(self, domain: str, now: float) -> Bucket:
        counts = self._counts
        limit = self._per_domain or 0
        if domain not in counts.domains and len(counts.domains) >= _MOST_DOMAINS:
            for bucket in counts.domains.values():
                bucket.has_room(limit, now)
            counts.domains = {name: it for name, it in counts.domains.items() if it.spent}
        return counts.domains.setdefault(domain, Bucket(at=now))
