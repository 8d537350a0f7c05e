"""Plots as SVG text. Colours are CSS classes, which the page defines.

A plot is as wide as its place: across, all is in per cent; letters and heights are in pixels, on a
phone as on paper. The values of the axis are written to the left of the plot, where the page leaves
room for them (`.plot` in report.css).
"""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_BOTTOM, _TOP = 24, 10  # room for the labels of the time axis, and half a letter
_MOST_STEPS = 5  # of the axis of values
_WIDEST = 8.0  # per cent: a single column is not as wide as the plot


class Series(NamedTuple):
    """A series of values: its name, and the CSS class of its colour."""

    name: str
    css: str


class Tick(NamedTuple):
    """A label on the axis below a plot.

    Args:
        at: where in its column, from 0, where the column begins, to 1.
        is_minor: on a narrow screen it is left out.
    """

    label: str
    at: float = 0.5
    is_minor: bool = False


class Column(NamedTuple):
    """One column: its name, its tick, and a value for each series."""

    name: str
    tick: Tick | None
    values: Sequence[int]


def stacked(title: str, series: Sequence[Series], columns: Sequence[Column], height: int) -> str:
    """A plot of stacked columns. Each part has its numbers as a tooltip.

    Args:
        title: for screen readers.
        height: in pixels.
    """
    grid = scale(max((sum(column.values) for column in columns), default=0))
    base, room = height - _BOTTOM, height - _TOP - _BOTTOM
    step = 100 / max(1, len(columns))
    parts = [_axis(grid, base, room)]
    for position, column in enumerate(columns):
        parts.append(_stack(series, column, position * step, step, base, room / grid[-1]))
        if column.tick:
            parts.append(_tick(column.tick, (position + column.tick.at) * step, base))
    return (
        f'<svg class="plot" height="{height}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def bar(title: str, css: str, part: float) -> str:
    """One horizontal bar, filled up to `part` (0 to 1)."""
    filled = (
        f'<rect class="{css}" width="{100 * min(1.0, max(part, 0.01)):.1f}" height="10" rx="2"/>'
    )
    return (
        f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)}"><rect class="track" width="100" height="10" rx="2"/>'
        f"{filled}</svg>"
    )


def scale(highest: int) -> list[int]:
    """The marks of an axis that reaches `highest`: from 0, round numbers, the last no lower.

    At least two thirds of the axis are used.
    """
    power = 10 ** max(0, len(str(highest)) - 2)
    step = next(it * power for it in (1, 2, 5, 10, 20) if it * power * _MOST_STEPS >= highest)
    return [step * line for line in range(max(1, -(-highest // step)) + 1)]


def number(value: float) -> str:
    """A number in short form for an axis: `12k`, `1.5M`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _axis(grid: Sequence[int], base: int, room: int) -> str:
    lines = []
    for value in grid:
        y = base - room * value / grid[-1]
        lines.append(
            f'<line class="grid" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="-8" y="{y + 4:.1f}" text-anchor="end">{number(value)}</text>'
        )
    return "".join(lines)


def _tick(tick: Tick, x: float, base: int) -> str:
    css = "tick minor" if tick.is_minor else "tick"
    # The label of the last columns would leave the plot if it were centred.
    anchor = "end" if x > 98 else "middle"
    return (
        f'<line class="{css}" x1="{x:.2f}%" x2="{x:.2f}%" y1="{base}" y2="{base + 4}"/>'
        f'<text class="{css}" x="{x:.2f}%" y="{base + 18}" text-anchor="{anchor}">'
        f"{escape(tick.label)}</text>"
    )


def _stack(
    series: Sequence[Series], column: Column, x: float, step: float, base: float, unit: float
) -> str:
    wide = min(step * 0.88, _WIDEST)
    left = x + (step - wide) / 2
    parts, y = [], base
    for it, value in zip(series, column.values, strict=True):
        if not value:
            continue
        high = max(value * unit, 1.0)  # one among millions remains visible
        y -= high
        said = f"{column.name}: {value:,} {it.name}"
        parts.append(
            f'<rect class="{it.css}" x="{left:.2f}%" y="{y:.1f}" width="{wide:.2f}%" '
            f'height="{max(high - 0.6, 0.6):.1f}"><title>{escape(said)}</title></rect>'
        )
    return "".join(parts)
