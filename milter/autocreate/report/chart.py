"""Plots as SVG text. Colours are CSS classes, which the page defines."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_LEFT, _BOTTOM, _TOP = 44, 24, 10  # room for the labels of the axes
_MOST_STEPS = 5  # of the axis of values


class Series(NamedTuple):
    """A series of values: its name, and the CSS class of its colour."""

    name: str
    css: str


class Column(NamedTuple):
    """One column: its name, its label on the axis (may be empty), and a value for each series."""

    name: str
    tick: str
    values: Sequence[int]


def stacked(
    title: str, series: Sequence[Series], columns: Sequence[Column], width: int, height: int
) -> str:
    """A plot of stacked columns. Each part has its numbers as a tooltip.

    Args:
        title: for screen readers.
        width, height: in the plot's own units; it scales with the page.
    """
    grid = scale(max((sum(column.values) for column in columns), default=0))
    top = grid[-1]
    room = height - _TOP - _BOTTOM
    step = (width - _LEFT) / max(1, len(columns))
    parts = [_axis(grid, width, height)]
    for position, column in enumerate(columns):
        x = _LEFT + position * step
        parts.append(_stack(series, column, x, step, height - _BOTTOM, room / top))
        if column.tick:
            middle = x + step / 2
            # The label of the last columns would be cut off if it were centred.
            at, anchor = (width, "end") if middle > width - 32 else (middle, "middle")
            parts.append(
                f'<text class="tick" x="{at:.1f}" y="{height - 6}" text-anchor="{anchor}">'
                f"{escape(column.tick)}</text>"
            )
    return _svg(title, width, height, "".join(parts))


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


def _axis(grid: Sequence[int], width: int, height: int) -> str:
    base, room = height - _BOTTOM, height - _TOP - _BOTTOM
    lines = []
    for value in grid:
        y = base - room * value / grid[-1]
        lines.append(
            f'<line class="grid" x1="{_LEFT}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">'
            f"{number(value)}</text>"
        )
    return "".join(lines)


def _stack(
    series: Sequence[Series], column: Column, x: float, step: float, base: float, unit: float
) -> str:
    gap = min(3.0, step * 0.15)
    wide = min(step - gap, 48.0)  # a single column is not as wide as the plot
    left = x + (step - wide) / 2
    parts, y = [], base
    for it, value in zip(series, column.values, strict=True):
        if not value:
            continue
        high = max(value * unit, 1.0)  # one among millions remains visible
        y -= high
        said = f"{column.name}: {value:,} {it.name}"
        parts.append(
            f'<rect class="{it.css}" x="{left:.1f}" y="{y:.1f}" width="{wide:.1f}" '
            f'height="{max(high - 0.6, 0.6):.1f}"><title>{escape(said)}</title></rect>'
        )
    return "".join(parts)


def _svg(title: str, width: int, height: int, inner: str) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}">{inner}</svg>'
    )
