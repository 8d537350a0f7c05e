"""Whether a server answered when it was last asked, and since when."""

from __future__ import annotations

from autocreate.resilience.health import Health
from tests.unit.clock import Clock


def test_the_time_is_that_of_the_change_and_the_error_the_last() -> None:
    clock = Clock(100.0)
    health = Health(clock)
    assert health.snapshot() == {"up": None, "since": 0.0, "error": ""}
    health.answered()
    clock.now = 110.0
    health.answered()
    assert health.snapshot() == {"up": True, "since": 100.0, "error": ""}
    health.failed("refused")
    clock.now = 120.0
    health.failed("no route")
    assert health.snapshot() == {"up": False, "since": 110.0, "error": "no route"}
    health.answered()
    assert health.snapshot() == {"up": True, "since": 120.0, "error": ""}
