"""The verdicts of the last sixty minutes."""

from __future__ import annotations

from autocreate.statistics.last_hour import LastHour


def test_what_is_an_hour_old_does_not_count() -> None:
    hour = LastHour()
    for minute in range(0, 180, 10):
        hour.add(minute * 60.0, "milter", "accept")
    assert hour.totals(170 * 60.0) == {("milter", "accept"): 6}
    assert hour.totals(229 * 60.0) == {("milter", "accept"): 1}
    assert hour.totals(230 * 60.0) == {}


def test_front_ends_and_outcomes_are_apart() -> None:
    hour = LastHour()
    for outcome in ("accept", "accept", "unknown"):
        hour.add(0.0, "milter", outcome)
    hour.add(59.0, "login", "accept")
    assert hour.totals(59.0) == {
        ("milter", "accept"): 2,
        ("milter", "unknown"): 1,
        ("login", "accept"): 1,
    }


def test_a_clock_that_is_set_back_loses_no_later_minute_for_ever() -> None:
    hour = LastHour()
    hour.add(7200.0, "milter", "accept")
    hour.add(3600.0, "milter", "unknown")
    assert hour.totals(3600.0) == {("milter", "unknown"): 1}
