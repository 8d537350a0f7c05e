"""Plots: what is drawn of which figures."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate.report.chart import Column, Series, Tick, bar, number, scale, stacked

SERIES = [Series("accepted", "accept"), Series("unknown", "unknown")]


def rects(svg: str) -> list[dict[str, str]]:
    """The attributes of all rectangles, with what they tell when they are pointed at."""
    return [
        {**it.attrib, "title": it.findtext("title") or ""}
        for it in ElementTree.fromstring(svg).iter("rect")
    ]


def test_the_parts_of_a_column_stand_one_on_the_other_as_high_as_their_figures() -> None:
    svg = stacked("x", SERIES, [Column("noon", Tick("12:00"), [30, 10])], 234)
    lower, upper = rects(svg)
    # 200 units of height for an axis that ends at 40.
    assert float(lower["y"]) == 60.0
    assert float(upper["y"]) == 10.0
    assert (lower["class"], lower["title"]) == ("accept", "noon: 30 accepted")
    assert (upper["class"], upper["title"]) == ("unknown", "noon: 10 unknown")


def test_what_is_nothing_is_not_drawn_and_what_is_little_is_seen() -> None:
    columns = [Column("a", None, [1_000_000, 0]), Column("b", None, [0, 1])]
    svg = stacked("x", SERIES, columns, 234)
    assert [it["title"] for it in rects(svg)] == ["a: 1,000,000 accepted", "b: 1 unknown"]
    assert float(rects(svg)[1]["height"]) > 0.3


def test_a_tick_is_at_its_place_in_its_column_and_a_minor_one_says_so() -> None:
    columns = [
        Column("a", Tick("begins", 0.0), [1, 0]),
        Column("b", Tick("midst", is_minor=True), [1, 0]),
    ]
    plot = ElementTree.fromstring(stacked("x", SERIES, columns, 234))
    assert [
        (it.text, it.attrib["x"], it.attrib["class"])
        for it in plot.iter("text")
        if it.attrib["x"].endswith("%")
    ] == [("begins", "0.00%", "tick"), ("midst", "75.00%", "tick minor")]


def test_a_plot_of_nothing_is_a_plot() -> None:
    assert rects(stacked("x", SERIES, [], 234)) == []


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")))
def test_words_are_shown_and_never_markup(words: str) -> None:
    column = Column(words, Tick(words), [1])
    svg = stacked(words, [Series(words, "accept")], [column], 234)
    plot = ElementTree.fromstring(svg)
    assert plot.attrib["aria-label"] == re.sub(r"[\t\n]", " ", words)
    assert rects(svg)[0]["title"] == f"{words}: 1 {words}"


@pytest.mark.parametrize(
    ("highest", "marks"),
    [
        (0, [0, 1]),
        (1, [0, 1]),
        (3, [0, 1, 2, 3]),
        (6, [0, 2, 4, 6]),
        (11, [0, 5, 10, 15]),
        (41, [0, 10, 20, 30, 40, 50]),
        (450, [0, 100, 200, 300, 400, 500]),
        (999, [0, 200, 400, 600, 800, 1000]),
    ],
)
def test_an_axis_has_round_numbers_and_ends_at_the_first_that_is_high_enough(
    highest: int, marks: list[int]
) -> None:
    assert scale(highest) == marks


@given(st.integers(1, 10**12))
def test_an_axis_fits_its_values(highest: int) -> None:
    *_, before, last = marks = scale(highest)
    assert before < highest <= last
    assert highest / last > 2 / 3
    assert len(marks) <= 6


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (150, "150"), (1500, "1.5k"), (2e6, "2M"), (3e9, "3G")]
)
def test_numbers_are_short(value: float, shown: str) -> None:
    assert number(value) == shown


def test_a_bar_is_never_longer_than_its_track_nor_invisible() -> None:
    widths = [float(rects(bar("x", "accept", part))[1]["width"]) for part in (0.0, 0.5, 2.0)]
    assert widths == [1.0, 50.0, 100.0]
