"""Verdicts of a span of time, added up: of bounded size, and two of them can be merged.

There is no clock here, and no threads: see `autocreate.statistics.recorder`. Reasons, domains and
recipients are words that clients and servers choose; beyond a limit they are counted without the words.
"""

import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from autocreate.core.printable import printable
from autocreate.model import Answer, Verdict

# The upper bounds of the histogram's buckets, in milliseconds. The last bucket has none.
BOUNDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)

# How many kinds of verdicts are counted separately, and how many names a list of the most frequent has.
_MOST_KINDS = 500
_MOST_NAMES = 100
_LONGEST = 200  # characters of a name or a reason

OTHERS = "(others)"


class VerdictKey(NamedTuple):
    """What verdicts are counted by."""

    frontend: str
    answer: str
    reason: str = ""
    policy: str = ""
    domain: str = ""
    suppressed: str = ""


class Histogram:
    """How long verdicts took: how many within each of BOUNDS, and the sum in milliseconds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def add(self, milliseconds: float) -> None:
        """Add one."""
        self.counts[bisect_left(BOUNDS, milliseconds)] += 1
        self.sum += milliseconds

    def merge(self, other: "Histogram") -> None:
        """Add all counts of another."""
        self.counts = [
            ours + theirs for ours, theirs in zip(self.counts, other.counts, strict=True)
        ]
        self.sum += other.sum

    @property
    def total(self) -> int:
        """How many times were added."""
        return sum(self.counts)

    def quantile(self, part: float) -> float:
        """The time that this part of all did not exceed, in milliseconds, to the precision of BOUNDS.

        Times are assumed to be spread evenly within a bucket. Infinite beyond the last bound.
        """
        wanted, passed = part * self.total, 0
        for position, count in enumerate(self.counts[:-1]):
            if count and passed + count >= wanted:
                lower = BOUNDS[position - 1] if position else 0.0
                return lower + (BOUNDS[position] - lower) * (wanted - passed) / count
            passed += count
        return float("inf") if self.total else 0.0


class TopK:
    """The most frequent names of a stream, in bounded memory.

    When there are ten times as many as are shown, the rarer half is dropped. So a frequent name survives
    a flood of names that come once.
    """

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self._counts = Counter(counts or {})

    def add(self, name: str, times: int = 1) -> None:
        """Add a name."""
        self._counts[name[:_LONGEST]] += times
        self._trim()

    def merge(self, other: "TopK") -> None:
        """Add all counts of another."""
        counts = self._counts
        for name, times in other._counts.items():
            short = name[:_LONGEST]
            counts[short] = counts.get(short, 0) + times
        self._trim()

    def _trim(self) -> None:
        if len(self._counts) >= 10 * _MOST_NAMES:
            self._counts = Counter(dict(self._counts.most_common(5 * _MOST_NAMES)))

    def most(self, limit: int = _MOST_NAMES) -> list[tuple[str, int]]:
        """The most frequent, with how often each came."""
        return self._counts.most_common(limit)


class Tally:
    """Verdicts by kind, mailboxes created by (policy, domain), times by (front end, outcome), and the most
    frequent unknown recipients, and the clients that asked for them.

    An outcome is an answer, or "created" where a mailbox was.
    """

    def __init__(self) -> None:
        self.kinds: Counter[VerdictKey] = Counter()
        self.created: Counter[tuple[str, str]] = Counter()
        self.times: dict[tuple[str, str], Histogram] = {}
        self.unknown = TopK()
        self.clients = TopK()

    def add(
        self,
        frontend: str,
        verdict: Verdict,
        milliseconds: float,
        recipient: str = "",
        client: str = "",
    ) -> None:
        """Add a verdict.

        Args:
            recipient: the address as the client wrote it.
            client: its address.
        """
        answer = verdict.answer
        word = answer.word
        if answer is Answer.PASS:
            # Other people's mail has countless reasons and domains, and none is of interest.
            kind = VerdictKey(frontend, word, suppressed=verdict.suppressed)
        else:
            reason = _SEVERAL if verdict.parts else verdict.reason
            kind = _kind(
                frontend, word, reason, verdict.policy, _domain(recipient), verdict.suppressed
            )
        if kind in self.kinds:
            self.kinds[kind] += 1
        else:
            self._count(kind, 1)
        self._times(frontend, "created" if verdict.created else word).add(milliseconds)
        if answer is Answer.UNKNOWN:
            self.unknown.add(_text(recipient.strip("<> ")))
            if client:
                self.clients.add(client)

    def merge(self, other: "Tally") -> None:
        """Add all counts of another."""
        for kind, count in other.kinds.items():
            self._count(kind, count)
        for (policy, domain), count in other.created.items():
            self.create(policy, domain, count)
        for (frontend, outcome), times in other.times.items():
            self._times(frontend, outcome).merge(times)
        self.unknown.merge(other.unknown)
        self.clients.merge(other.clients)

    def create(self, policy: str, domain: str, times: int = 1) -> None:
        """Add mailboxes that were created."""
        key = (policy, domain)
        if key not in self.created and len(self.created) >= _MOST_KINDS:
            key = (policy, OTHERS)
        self.created[key] += times

    def as_json(self) -> dict[str, Any]:
        """All counts, and the most frequent names, for `from_json`."""
        return {
            "kinds": [[*kind, count] for kind, count in self.kinds.items()],
            "created": [[*key, count] for key, count in self.created.items()],
            "times": [[*key, it.sum, it.counts] for key, it in self.times.items()],
            "unknown": dict(self.unknown.most()),
            "clients": dict(self.clients.most()),
        }

    def as_text(self) -> str:
        """`as_json` as text, for `from_text`."""
        return json.dumps(self.as_json())

    @classmethod
    def from_text(cls, text: str) -> "Tally":
        """What `as_text` made.

        Raises:
            ValueError: as `from_json`, or it is not JSON.
        """
        try:
            data = json.loads(text)
        except (RecursionError, TypeError) as error:
            raise ValueError(f"not JSON: {error!r}") from error
        return cls.from_json(data)

    @classmethod
    def from_json(cls, data: Any) -> "Tally":
        """What `as_json` made.

        Raises:
            ValueError: the data is something else, or from another version of this program.
        """
        try:
            return cls._from_json(data)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"not a tally of this version: {error!r}") from error

    @classmethod
    def _from_json(cls, data: Mapping[str, Any]) -> "Tally":
        tally = cls()
        for *words, count in data["kinds"]:
            kind = VerdictKey(*map(_word, words))
            Answer(kind.answer)
            tally.kinds[kind] = _whole(count)
        for policy, domain, count in data["created"]:
            tally.created[_word(policy), _word(domain)] = _whole(count)
        for frontend, outcome, milliseconds, counts in data["times"]:
            if outcome != "created":
                Answer(outcome)
            times = tally._times(_word(frontend), outcome)
            if len(counts) != len(times.counts):
                raise ValueError("different histogram buckets")
            times.sum, times.counts = float(milliseconds), [_whole(count) for count in counts]
        tally.unknown = TopK({_word(it): _whole(n) for it, n in data["unknown"].items()})
        tally.clients = TopK({_word(it): _whole(n) for it, n in data["clients"].items()})
        return tally

    def _count(self, kind: VerdictKey, times: int) -> None:
        if kind not in self.kinds and len(self.kinds) >= _MOST_KINDS:
            # The words are dropped; the answers of each front end are still counted right.
            kind = kind._replace(reason=OTHERS, policy="", domain=OTHERS)
        self.kinds[kind] += times

    def _times(self, frontend: str, outcome: str) -> Histogram:
        times = self.times.get((frontend, outcome))
        if times is None:
            times = self.times[frontend, outcome] = Histogram()
        return times


_SEVERAL = "an alias of several"

# A measured number, but not an enhanced status code such as 4.2.2.
_NUMBER = re.compile(r"(?<![\d.])\d+\.\d+(?!\.?\d)")


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise TypeError(f"{value!r} is not a count")
    return value


@lru_cache(1024)
def _kind(
    frontend: str, answer: str, reason: str, policy: str, domain: str, suppressed: str
) -> VerdictKey:
    return VerdictKey(frontend, answer, _in_general(reason), policy, domain, suppressed)


@lru_cache(4096)
def _domain(recipient: str) -> str:
    """The domain of an address as the client wrote it."""
    return recipient.rpartition("@")[2].rstrip("> ").lower()[:_LONGEST]


@lru_cache(1024)
def _in_general(reason: str) -> str:
    """A reason without what differs from one recipient to the next: quoted words and numbers."""
    return _text(_NUMBER.sub("N", re.sub(r"'[^']*'|\"[^\"]*\"", "...", reason)))


def _text(text: str) -> str:
    """A client's bytes as printable text on one line."""
    return printable(text.encode("utf-8", "backslashreplace").decode("utf-8")[:_LONGEST])
