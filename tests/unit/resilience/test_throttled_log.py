"""One line per period for each cause, and a count of the rest."""

from __future__ import annotations

import logging

import pytest

from autocreate.resilience.throttled_log import _MOST, ThrottledLog, flush_all
from tests.unit.clock import Clock

LOG = logging.getLogger("autocreate.throttled")


def test_the_first_line_is_logged_at_once_and_the_rest_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    throttled = ThrottledLog(LOG, 3600.0, clock)
    for _ in range(1000):
        throttled.warning(7, "uid %d may not", 7)
    assert caplog.messages == ["uid 7 may not"]
    clock.now += 3600.0
    throttled.warning(7, "uid %d may not", 7)
    assert caplog.messages[1:] == ["uid 7 may not (999 more since the last such line)"]


def test_causes_are_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    throttled = ThrottledLog(LOG, 3600.0, Clock())
    for uid in (7, 8, 7, 8):
        throttled.warning(uid, "uid %d may not", uid)
    assert caplog.messages == ["uid 7 may not", "uid 8 may not"]


def test_the_count_is_logged_though_nothing_more_comes(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    throttled = ThrottledLog(LOG, 60.0, clock)
    throttled.warning("a", "full")
    throttled.warning("a", "full")
    throttled.flush()
    assert caplog.messages == ["full"]
    clock.now += 60.0
    throttled.flush()
    throttled.flush()
    assert caplog.messages == ["full", "full (1 more since the last such line)"]


def test_all_logs_of_a_process_are_flushed_at_once_and_dropped_ones_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    kept, other, dropped = (ThrottledLog(LOG, 60.0, clock) for _ in range(3))
    for name, throttled in (("kept", kept), ("other", other), ("dropped", dropped)):
        throttled.warning("a", name)
        throttled.warning("a", name)
    del dropped, throttled
    caplog.clear()
    clock.now += 60.0
    flush_all()
    ours = sorted(it.getMessage() for it in caplog.records if it.name == LOG.name)
    assert ours == [f"{name} (1 more since the last such line)" for name in ("kept", "other")]


def test_a_flood_of_causes_takes_bounded_memory_and_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    throttled = ThrottledLog(LOG, 3600.0, clock)
    for uid in range(65_536):
        throttled.warning(uid, "uid %d may not", uid)
    assert len(caplog.messages) == len(throttled._causes) == _MOST + 1
    caplog.clear()
    clock.now += 3600.0
    throttled.warning(7, "uid %d may not", 7)
    assert caplog.messages == ["uid 7 may not"]
