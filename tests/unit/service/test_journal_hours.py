"""Which days are kept as hours, and how many."""

from __future__ import annotations

import pytest

from autocreate.service.journal_hours import DAY, HOURLY_DAYS, HOURS_LIMIT, last_day_to_fold

TODAY = 20_000 * DAY
NOW = TODAY + DAY / 2


def days(count: int, rows: int = 24) -> dict[int, int]:
    """The hours of each of the last days."""
    return {TODAY - ago * DAY: rows for ago in range(count)}


def last(hours: dict[int, int], now: float = NOW) -> int | None:
    return last_day_to_fold(sorted(hours.items(), reverse=True), now)


def test_hours_of_the_last_five_weeks_are_kept() -> None:
    assert last(days(HOURLY_DAYS)) is None
    assert last(days(HOURLY_DAYS + 2)) == TODAY - HOURLY_DAYS * DAY


def test_no_more_days_are_read_than_decide() -> None:
    """There may be millions of hours that an earlier version left."""
    latest_first = iter(sorted(days(1000).items(), reverse=True))
    assert last_day_to_fold(latest_first, NOW) == TODAY - HOURLY_DAYS * DAY
    assert next(latest_first)[0] == TODAY - (HOURLY_DAYS + 1) * DAY


def test_days_without_mail_do_not_count() -> None:
    weekly = {TODAY - ago * 7 * DAY: 24 for ago in range(HOURLY_DAYS)}
    assert last(weekly) is None


def test_very_many_hours_become_days_earlier() -> None:
    rows = HOURS_LIMIT // 10
    assert last(days(11, rows)) == TODAY - 10 * DAY
    assert last(days(10, rows)) is None


def test_the_last_days_are_kept_however_many_hours_there_are() -> None:
    assert last(days(4, HOURS_LIMIT)) is None
    assert last(days(5, HOURS_LIMIT)) == TODAY - 4 * DAY


@pytest.mark.parametrize("wrong", [1000 * DAY, -1000 * DAY])
def test_a_clock_that_is_wrong_closes_no_day_that_others_count_in(wrong: int) -> None:
    assert last(days(HOURLY_DAYS), NOW + wrong) is None
    assert (last(days(HOURLY_DAYS + 5), NOW + wrong) or 0) < TODAY


def test_hours_of_a_clock_in_the_future_push_out_no_day_of_the_last_weeks() -> None:
    future = {TODAY + (1000 + ahead) * DAY: 24 for ahead in range(HOURLY_DAYS)}
    assert last(days(HOURLY_DAYS) | future) is None
    # Today is position 35 and more here, and yet it is too young by the clock.
    assert (last(days(HOURLY_DAYS + 9) | future) or 0) < TODAY
