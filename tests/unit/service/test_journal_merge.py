"""What becomes of statistics of one day that two journals have."""

from __future__ import annotations

import json

from autocreate.model import Answer, Verdict
from autocreate.service.journal_merge import DAY_WRITER, Hours, merged_hours, merged_seen
from autocreate.statistics.tally import Tally

DAY = (0, DAY_WRITER)
ONE, TWO = (0, "mx1:1:aa"), (3600, "mx1:1:aa")


def tally(verdicts: int) -> str:
    made = Tally()
    for number in range(verdicts):
        made.add("milter", Verdict(Answer.ACCEPT, "created"), number + 0.1, "<joe@example.org>")
    return made.as_text()


def total(hours: Hours | None) -> dict[tuple[int, str], int]:
    assert hours is not None
    return {key: sum(Tally.from_text(it).kinds.values()) for key, it in hours.items()}


def test_hours_that_are_missing_are_added_and_the_fuller_state_of_an_hour_counts() -> None:
    ours, theirs = {ONE: tally(2)}, {ONE: tally(3), TWO: tally(1)}
    merged = merged_hours(ours, theirs)
    assert total(merged) == {ONE: 3, TWO: 1}
    assert merged is not None
    assert merged_hours(merged, theirs) is None
    assert merged_hours({ONE: tally(4), TWO: tally(1)}, theirs) is None
    assert merged_hours({}, {}) is None


def test_a_day_of_the_other_one_is_added_to_ours_once() -> None:
    merged = merged_hours({DAY: tally(2)}, {DAY: tally(3)})
    assert total(merged) == {DAY: 5}
    assert merged is not None
    assert merged_hours(merged, {DAY: tally(3)}) is None
    assert merged_hours(merged, {DAY: tally(2)}) is None
    assert merged_hours({DAY: tally(3)}, {DAY: tally(3)}) is None
    third = merged_hours(merged, {DAY: tally(4)})
    assert total(third) == {DAY: 9}
    assert third is not None
    # Back into a journal that has a part of it: the whole counts, not the sum.
    assert total(merged_hours({DAY: tally(4)}, third)) == {DAY: 9}
    # What is in both cannot be taken out again.
    other = merged_hours({DAY: tally(2)}, {DAY: tally(6)})
    assert other is not None
    assert merged_hours(merged, other) is None


def test_a_day_that_only_the_other_one_has_added_up_is_added_up_here_too() -> None:
    ours = {ONE: tally(1), TWO: tally(2)}
    assert total(merged_hours(ours, {DAY: tally(4)})) == {DAY: 7}
    total_of_ours = Tally()
    for key in (TWO, ONE):  # in another order
        total_of_ours.merge(Tally.from_text(ours[key]))
    assert merged_hours(ours, {DAY: total_of_ours.as_text()}) is None


def test_hours_do_not_count_after_our_day_was_added_up() -> None:
    assert merged_hours({DAY: tally(1)}, {ONE: tally(9)}) is None


def test_what_is_not_valid_is_copied_where_nothing_is_and_added_to_nothing() -> None:
    later = json.dumps({"version": 2})
    assert merged_hours({}, {ONE: later}) == {ONE: later}
    assert merged_hours({TWO: tally(1)}, {ONE: later}) == {TWO: tally(1), ONE: later}
    assert merged_hours({ONE: later}, {DAY: tally(1)}) is None
    assert merged_hours({DAY: later}, {DAY: tally(1)}) is None
    assert merged_hours({DAY: tally(1)}, {DAY: later}) is None


def test_a_recipient_that_both_have_seen_is_as_the_later_one_saw_it() -> None:
    ours = {"answer": "accept", "times": 5, "first_seen": 1.0, "last_seen": 2.0}
    theirs = {"answer": "unknown", "times": 3, "first_seen": 1.5, "last_seen": 3.0}
    merged = {"answer": "unknown", "times": 5, "first_seen": 1.0, "last_seen": 3.0}
    assert merged_seen(ours, theirs) == merged
    assert merged_seen(merged, theirs) is None
