"""The report page in a real browser: on a phone, a tablet and a desk, in light and in dark, and on paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.pages import DEFERRED, HOST, PAGES
from tests.servers.browser import Browser, pictures_of_sheets, sheets

MEASURE = Path(__file__).with_name("measure.js").read_text(encoding="utf-8")
PageOf = Callable[[str], Path]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 390, 768, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read(
    name: str, width: int, scheme: str, browser: Browser, page_of: PageOf
) -> None:
    browser.show(page_of(name), width, dark=scheme == "dark")
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate(MEASURE) == []


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        ("main { width: 500px }", "the page is "),
        (".minor { display: block !important }", " covers "),
        (".plot { margin-left: 0 !important }", ": cut off: "),
        (".tick { font-size: 7px !important }", ": small: "),
        ("td { max-width: 40px; padding-right: 0 !important }", "too wide: "),
        (
            "table, tr { display: block !important } td { word-break: break-all; display: inline-block; "
            "width: 90px !important } td + td { width: auto !important; max-width: 140px }",
            "broken: ",
        ),
        (":root { --soft: #aaa !important }", "contrast "),
        (":root { --unknown: #f0c080 !important }", ": a column of unknown"),
    ],
)
def test_a_page_that_cannot_be_read_is_noticed(
    harm: str, complaint: str, browser: Browser, page_of: PageOf, tmp_path: Path
) -> None:
    text = page_of("week").read_text(encoding="utf-8")
    harmed = tmp_path / "harmed.html"
    harmed.write_text(text.replace("</style>", f"{harm}</style>"), encoding="utf-8")
    browser.show(harmed, 390)
    assert any(complaint in it for it in browser.evaluate(MEASURE))


# The columns of the plot of deferrals: their words, and how large they are on the screen.
_DEFERRED = """
[...document.querySelectorAll('svg.plot rect.temporary')].filter(
  (it) => it.closest('svg').ariaLabel.startsWith('Deferred')
).map((it) => {
  const place = it.getBoundingClientRect();
  return { said: it.textContent, wide: place.width, high: place.height };
})
"""


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(("name", "day"), [("month", "2026-11-12 (UTC)"), ("years", "week of ")])
def test_an_outage_of_ten_minutes_is_seen_in_a_month_and_in_two_years(
    name: str, day: str, width: int, browser: Browser, page_of: PageOf
) -> None:
    browser.show(page_of(name), width)
    (column,) = _rows(browser.evaluate(_DEFERRED))
    assert column["said"].startswith(day)
    assert column["said"].endswith(f": {DEFERRED} deferred (451)")
    assert column["wide"] >= 2
    assert column["high"] >= 80


def _rows(value: Any) -> list[dict[str, Any]]:
    assert isinstance(value, list)
    return value


def test_columns_begin_and_ticks_are_at_midnight(browser: Browser, page_of: PageOf) -> None:
    browser.show(page_of("week"), 1280)
    columns, marks = browser.evaluate(
        """(() => {
          const plot = document.querySelector('svg.plot');
          const left = (it) => it.getBoundingClientRect().left;
          const columns = [...plot.querySelectorAll('rect.accept')].map(
            (it) => [it.textContent.split(':')[0] + ':00', left(it)]);
          const marks = [...plot.querySelectorAll('text.tick')].filter(
            (it) => /^[A-Z]/.test(it.textContent)).map(
            (it) => [it.textContent, left(it.previousElementSibling)]);
          return [columns, marks];
        })()"""
    )
    assert [label for label, _ in marks] == [
        *("Wed 18", "Thu 19", "Fri 20", "Sat 21", "Sun 22", "Mon 23", "Tue 24")
    ]
    for label, place in marks:
        (begins,) = (left for name, left in columns if name == f"2026-11-{label[-2:]} 00:00")
        assert 0 <= begins - place < 1.5


def test_paper_is_light_for_everybody(browser: Browser, page_of: PageOf, tmp_path: Path) -> None:
    printed = []
    for scheme in ("light", "dark"):
        browser.show(page_of("week"), dark=scheme == "dark")
        (paper := tmp_path / f"{scheme}.pdf").write_bytes(browser.paper())
        printed.append([it.read_bytes() for it in pictures_of_sheets(paper, tmp_path / scheme)])
    light, dark = printed
    assert light == dark


@pytest.mark.parametrize("name", PAGES)
def test_no_sheet_of_paper_is_empty(
    name: str, browser: Browser, page_of: PageOf, tmp_path: Path
) -> None:
    browser.show(page_of(name), dark=True)
    (paper := tmp_path / "page.pdf").write_bytes(browser.paper())
    printed = sheets(paper)
    assert 1 <= len(printed) <= 4
    assert all(len(sheet.split()) >= 10 for sheet in printed)
    assert HOST in printed[0]
    assert "CET" in printed[0]
    assert "This page loads nothing from the network." in printed[-1]
