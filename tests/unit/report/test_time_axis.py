"""Which slots of a time axis have a label: few, and at the times that people count by."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from autocreate.report.gather import WEEK, Slot
from autocreate.report.time_axis import labels
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
    slots = [Slot(begins + number * seconds, seconds, Counter()) for number in range(count)]
    return {position: label for position, label in enumerate(labels(slots)) if label}


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


def test_no_slots_have_no_labels() -> None:
    assert labels([]) == []
