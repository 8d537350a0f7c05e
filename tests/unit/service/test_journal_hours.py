"""Which days are kept as hours, and how many."""

from __future__ import annotations

import pytest

from autocreate.service.journal_hours import DAY, HOURLY_DAYS, HOURS_LIMIT, days_to_fold

TODAY = 20_000 * DAY
NOW = TODAY + DAY / 2


def days(count: int, rows: int = 24) -> dict[int, int]:
    """The hours of each of the last days."""
    return {TODAY - ago * DAY: rows for ago in range(count)}


def test_hours_of_the_last_five_weeks_are_kept() -> None:
    assert days_to_fold(days(HOURLY_DAYS), NOW) == []
    oldest_first = [TODAY - (HOURLY_DAYS + 1) * DAY, TODAY - HOURLY_DAYS * DAY]
    assert days_to_fold(days(HOURLY_DAYS + 2), NOW) == oldest_first


def test_days_without_mail_do_not_count() -> None:
    weekly = {TODAY - ago * 7 * DAY: 24 for ago in range(HOURLY_DAYS)}
    assert days_to_fold(weekly, NOW) == []


def test_very_many_hours_become_days_earlier() -> None:
    rows = HOURS_LIMIT // 10
    assert days_to_fold(days(11, rows), NOW) == [TODAY - 10 * DAY]
    assert days_to_fold(days(10, rows), NOW) == []


def test_the_last_days_are_kept_however_many_hours_there_are() -> None:
    assert days_to_fold(days(4, HOURS_LIMIT), NOW) == []
    assert days_to_fold(days(5, HOURS_LIMIT), NOW) == [TODAY - 4 * DAY]


@pytest.mark.parametrize("wrong", [1000 * DAY, -1000 * DAY])
def test_a_clock_that_is_wrong_closes_no_day_that_others_count_in(wrong: int) -> None:
    assert days_to_fold(days(HOURLY_DAYS), NOW + wrong) == []
    assert TODAY not in days_to_fold(days(HOURLY_DAYS + 5), NOW + wrong)


def test_hours_of_a_clock_in_the_future_push_out_no_day_of_the_last_weeks() -> None:
    future = {TODAY + (1000 + ahead) * DAY: 24 for ahead in range(HOURLY_DAYS)}
    assert days_to_fold(days(HOURLY_DAYS) | future, NOW) == []
    # Today is position 35 and more here, and yet it is too young by the clock.
    assert TODAY not in days_to_fold(days(HOURLY_DAYS + 9) | future, NOW)
