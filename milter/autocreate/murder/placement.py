"""At which backend a new user's INBOX is created, and why."""

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, TypeVar

from autocreate.errors import Temporary
from autocreate.model import Version

T = TypeVar("T")

Rule = Literal["random", "frontend", "freest", "fewest"]

# A backend is asked for its free space again after this time.
_SECONDS_OF_SPACE = 60.0
# Between two of these questions: so that they fall in different seconds, even if servers' clocks differ a little.
_SECONDS_APART = 1.5


class Place(NamedTuple):
    """A backend and the reason for it; None if the frontend chooses."""

    server: str | None
    why: str


class _Space(NamedTuple):
    """KiB that were free, and when that was told."""

    kib: int
    at: float


_NEVER_TOLD = _Space(0, -math.inf)


class Backend(Protocol):
    """What is asked of a backend. Both raise Temporary if it does not answer."""

    def version(self) -> Version:
        """Of its Cyrus. It answers, then."""

    def free_space(self) -> int:
        """KiB that are free."""


class Placement:
    """Chooses backends. Safe to call from several threads at once.

    One backend at a time is asked for its free space, and seldom: to tell it, a Cyrus that is built without libuuid
    seeds its ids of mailboxes with the time, and those that were asked in one second would give the same ids
    (docs/mailbox-ids.md).

    Args:
        inboxes: the server of every user's INBOX; asked by `fewest` alone.
        seconds: how long the counts of `fewest` are believed. They follow what is placed meanwhile.
        clock, sleep: of a monotonic clock, in seconds.
        pick: how `random` chooses one of several.
    """

    def __init__(
        self,
        rule: Rule,
        backends: Mapping[str, Backend],
        inboxes: Callable[[], Iterable[str]],
        seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        pick: Callable[[Sequence[str]], str] = random.choice,
    ) -> None:
        self._rule = rule
        self._backends = backends
        self._inboxes = inboxes
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._pick = pick
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._until = -1.0
        self._spaces: dict[str, _Space] = {}
        self._next_question = -math.inf

    def choose(self, partition: str | None) -> Place:
        """A backend for a new INBOX.

        Args:
            partition: the policy's. The frontend cannot choose a backend for it.

        Raises:
            Temporary: no backend can be asked.
        """
        if self._rule == "frontend" and not partition:
            return Place(None, "the frontend's serverlist decides")
        answering = self._asked(lambda it: self._backends[it].version(), self._backends)
        match self._rule:
            case "fewest":
                return self._fewest(answering)
            case "freest":
                return self._freest(answering)
            case _:
                return Place(self._pick(list(answering)), "chosen at random")

    def _asked(self, ask: Callable[[str], T], names: Iterable[str]) -> dict[str, T]:
        """What those backends say that answer."""
        told: dict[str, T] = {}
        errors = []
        for name in names:
            try:
                told[name] = ask(name)
            except Temporary as error:
                errors.append(str(error))
        if not told:
            raise Temporary(f"no backend for a new mailbox: {'; '.join(errors)}")
        return told

    def _freest(self, candidates: Iterable[str]) -> Place:
        with self._lock:
            longest_ago_first = sorted(candidates, key=lambda name: self._told(name).at)
            free = self._asked(self._space, longest_ago_first)
        server = max(free, key=lambda name: free[name])
        return Place(server, f"it has the most free space: {free[server]:,} KiB")

    def _space(self, name: str) -> int:
        """What a backend told, if it need not or cannot be asked now. One that never told is waited for."""
        told, now = self._told(name), self._clock()
        if told is not _NEVER_TOLD and now < max(self._next_question, told.at + _SECONDS_OF_SPACE):
            return told.kib
        if now < self._next_question:
            self._sleep(self._next_question - now)
        try:
            kib = self._backends[name].free_space()
        finally:
            self._next_question = self._clock() + _SECONDS_APART
        self._spaces[name] = _Space(kib, self._clock())
        return kib

    def _told(self, name: str) -> "_Space":
        return self._spaces.get(name, _NEVER_TOLD)

    def _fewest(self, candidates: Iterable[str]) -> Place:
        with self._lock:
            if self._clock() >= self._until:
                self._counts = Counter(self._inboxes())
                self._until = self._clock() + self._seconds
            server = min(candidates, key=lambda name: self._counts[name])
            why = f"it has the fewest users: {self._counts[server]:,}"
            self._counts[server] += 1
            return Place(server, why)
