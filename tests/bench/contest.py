"""What every benchmark needs: contestants measured in turn over several rounds, and how that is told."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

# Measures once: something per second, or seconds.
Contestant = Callable[[], float]


@dataclass(frozen=True)
class Effort:
    """How thoroughly to measure.

    Args:
        rounds: how often each contestant is measured.
        short: measure a tenth: enough to see that a benchmark works, too little for its figures.
    """

    rounds: int = 3
    short: bool = False

    def of(self, many: int, least: int = 1) -> int:
        """So many of something, or a tenth of it but not fewer than `least`."""
        return max(least, many // 10) if self.short else many


@dataclass(frozen=True)
class Result:
    """How one contestant did against another.

    Args:
        what: the case, in words.
        unit: of the values: "messages/s", "ms".
        ours, theirs: one value a round.
        less_is_better: the values are times.
        target: the least `ratio` that is good enough, or None if nothing was promised.
    """

    what: str
    unit: str
    ours: Sequence[float]
    theirs: Sequence[float]
    less_is_better: bool = False
    target: float | None = None

    @property
    def ratio(self) -> float:
        """Above 1 where ours is the better one: the median of the rounds' own ratios."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return statistics.median(b / a if self.less_is_better else a / b for a, b in pairs)

    @property
    def outcome(self) -> str:
        if self.target is None:
            return ""
        return "met" if self.ratio >= self.target else "missed"

    def against_target(self, bench: str) -> str:
        """One line: `warm: 1 recipient: target >= 0.95, measured 0.86: missed`; empty without a target."""
        if self.target is None:
            return ""
        figures = f"target >= {self.target:.2f}, measured {self.ratio:.2f}"
        return f"{bench}: {self.what}: {figures}: {self.outcome}"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "outcome": self.outcome}


def in_turn(contestants: Mapping[str, Contestant], rounds: int) -> dict[str, list[float]]:
    """Measures each contestant once a round, in an order that turns round; after one unmeasured round."""
    for measure in contestants.values():
        measure()
    values: dict[str, list[float]] = {name: [] for name in contestants}
    order = list(contestants)
    for _ in range(rounds):
        for name in order:
            values[name].append(contestants[name]())
        order.reverse()
    return values


def table(results: Sequence[Result]) -> list[str]:
    """The results as lines of a Markdown table: medians, and half the distance between the quartiles as the spread."""
    lines = ["| case | ours | theirs | unit | ratio | target | |", "|---|---|---|---|---|---|---|"]
    for it in results:
        target = "" if it.target is None else f"{it.target:.2f}"
        ours, theirs = _spread(it.ours), _spread(it.theirs)
        lines.append(
            f"| {it.what} | {ours} | {theirs} | {it.unit} | {it.ratio:.2f} | {target} | {it.outcome} |"
        )
    return lines


def _spread(values: Sequence[float]) -> str:
    median = statistics.median(values)
    digits = 0 if median >= 100 else 1 if median >= 10 else 2
    if len(values) < 3:
        return f"{median:.{digits}f}"
    low, _, high = statistics.quantiles(values, n=4)
    return f"{median:.{digits}f} ± {(high - low) / 2:.{digits}f}"
