"""A rate limit: never more than two minutes' worth in a minute, and what is not used is not saved up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autocreate.core.bucket import Bucket


def taken(bucket: Bucket, per_minute: int, now: float) -> bool:
    if not bucket.has_room(per_minute, now):
        return False
    bucket.take()
    return True


def test_as_many_as_the_limit_at_once_and_then_evenly() -> None:
    bucket = Bucket(at=100.0)
    assert [taken(bucket, 3, 100.0) for _ in range(4)] == [True, True, True, False]
    assert not taken(bucket, 3, 119.0)
    assert taken(bucket, 3, 120.0)
    assert not taken(bucket, 3, 120.0)


def test_an_hour_of_rest_saves_nothing_up() -> None:
    bucket = Bucket(at=0.0)
    assert [taken(bucket, 2, 3600.0) for _ in range(3)] == [True, True, False]


def test_a_lower_limit_counts_at_once_and_holds_up_for_a_minute_at_most() -> None:
    bucket = Bucket(at=0.0)
    for _ in range(100):
        taken(bucket, 100, 0.0)
    assert not taken(bucket, 2, 0.0)
    assert taken(bucket, 2, 30.0)


def test_what_is_given_back_can_be_taken_again() -> None:
    bucket = Bucket(at=0.0)
    assert taken(bucket, 1, 0.0)
    bucket.take(-1.0)
    assert taken(bucket, 1, 0.0)


@given(st.integers(1, 50), st.lists(st.floats(0.0, 10.0), max_size=200))
def test_no_minute_has_more_than_twice_the_limit(limit: int, pauses: list[float]) -> None:
    bucket, now, times = Bucket(at=0.0), 0.0, []
    for pause in pauses:
        now += pause
        if taken(bucket, limit, now):
            times.append(now)
    for end in times:
        assert sum(end - 60.0 < time <= end for time in times) <= 2 * limit
