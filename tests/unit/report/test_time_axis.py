"""Which slots of a time axis have a label: few, and at the times that people count by."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from autocreate.report.chart import Tick
from autocreate.report.gather import WEEK, Slot
from autocreate.report.time_axis import ticks
from autocreate.service.journal_hours import DAY, HOUR

THURSDAY = 20_419 * DAY  # 2025-11-27, 00:00 UTC
MONDAY = THURSDAY + 4 * DAY


@pytest.fixture(params=["UTC", "Europe/Athens", "Asia/Kolkata", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


def shown(begins: int, seconds: int, count: int) -> dict[int, str]:
    """The labels by position."""
    return {position: tick.label for position, tick in drawn(begins, seconds, count).items()}


def drawn(begins: int, seconds: int, count: int) -> dict[int, Tick]:
    """The ticks by position."""
    slots = [Slot(begins + number * seconds, seconds, Counter()) for number in range(count)]
    return {position: tick for position, tick in enumerate(ticks(slots)) if tick}


def test_half_a_day_has_a_label_each_hour(zone: str) -> None:
    assert len(shown(THURSDAY, HOUR, 12)) == 12


def test_a_day_has_labels_at_even_hours_of_this_zone_and_at_midnight_its_date(zone: str) -> None:
    found = shown(THURSDAY, HOUR, 24)
    assert len(found) == 12
    (date,) = {*found.values()} - {f"{hour:02}:00" for hour in range(2, 24, 2)}
    assert date in ("Thu 27", "Fri 28")


def test_a_week_has_labels_at_midnight_and_noon_of_this_zone(zone: str) -> None:
    for position, label in shown(THURSDAY, HOUR, 24 * 7).items():
        hour = time.localtime(THURSDAY + position * HOUR + HOUR // 2)
        if label == "12:00":
            assert hour.tm_hour == 12
        else:
            assert hour.tm_hour == 0
            assert label == time.strftime("%a %d", hour)
    assert 13 <= len(shown(THURSDAY, HOUR, 24 * 7)) <= 15


def test_more_than_a_week_of_hours_has_labels_at_midnight_alone(zone: str) -> None:
    assert "12:00" not in shown(THURSDAY, HOUR, 24 * 8 - 1).values()


def test_days_are_of_utc_wherever_the_report_is_made(zone: str) -> None:
    assert shown(THURSDAY, DAY, 3) == {0: "Nov 27", 1: "Nov 28", 2: "Nov 29"}


def test_a_month_has_labels_on_mondays() -> None:
    assert shown(THURSDAY, DAY, 31) == {
        4: "Dec 01",
        11: "Dec 08",
        18: "Dec 15",
        25: "Dec 22",
    }


def test_a_year_has_labels_on_the_first_of_each_month() -> None:
    found = shown(THURSDAY, DAY, 365)
    assert " ".join(found.values()) == "Dec 2026 Feb Mar Apr May Jun Jul Aug Sep Oct Nov"
    assert {time.gmtime(THURSDAY + position * DAY).tm_mday for position in found} == {1}


def test_two_years_have_labels_in_the_weeks_in_which_a_quarter_begins() -> None:
    found = shown(MONDAY, WEEK, 104)
    assert " ".join(found.values()) == "2026 Apr Jul Oct 2027 Apr Jul Oct"
    for position in found:
        days = [time.gmtime(MONDAY + position * WEEK + day * DAY).tm_mday for day in range(7)]
        assert 1 in days


@pytest.mark.parametrize(
    ("seconds", "count"),
    [
        *((HOUR, count) for count in range(12, 24 * 8)),
        *((DAY, count) for count in (2, 8, 15, 31, 43, 70, 71, 190, 365, 400)),
        *((WEEK, count) for count in (57, 80, 104)),
    ],
)
def test_a_narrow_screen_has_some_of_the_ticks_and_few(seconds: int, count: int) -> None:
    all_of_them = [*drawn(THURSDAY, seconds, count).values()]
    major = [tick for tick in all_of_them if not tick.is_minor]
    assert 1 <= len(major) <= 6
    assert len(major) <= len(all_of_them) <= 15


def test_midnight_is_marked_where_it_is_also_in_zones_that_are_half_an_hour_off(zone: str) -> None:
    for position, tick in drawn(THURSDAY, HOUR, 24 * 5).items():
        marked = time.localtime(THURSDAY + (position + tick.at) * HOUR)
        assert (marked.tm_hour % 12, marked.tm_min, marked.tm_sec) == (0, 0, 0)


def test_a_narrow_screen_has_every_second_midnight_of_a_week(zone: str) -> None:
    found = drawn(THURSDAY, HOUR, 24 * 7)
    major = [position for position, tick in found.items() if not tick.is_minor]
    assert {after - before for before, after in pairwise(major)} == {48}
    assert all(":" not in found[position].label for position in major)


def test_no_slots_have_no_ticks() -> None:
    assert ticks([]) == []
