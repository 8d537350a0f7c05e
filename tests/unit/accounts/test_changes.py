"""Up to where a source was read, and when it is asked again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocreate.accounts.changes import ByFile, ByList, ByTime
from autocreate.errors import Temporary

NOW = 1_000_000.0


def nothing() -> None:
    pass


class Asked:
    """A source that can be asked for what was changed."""

    def __init__(self) -> None:
        self.since: list[int] = []

    def __call__(self, moment: int) -> Iterator[str]:
        self.since.append(moment)
        return iter(["joe"])


def by_time(asked: Asked) -> ByTime:
    return ByTime("staff", asked, nothing, overlap=300.0, rarely=3600.0)


def test_without_a_mark_only_what_has_just_changed_is_new() -> None:
    asked = Asked()
    found = by_time(asked).look(None, NOW, False)
    assert found
    assert (list(found.names), found.is_list) == (["joe"], False)
    assert asked.since == [NOW - 300]


def test_a_search_reaches_back_before_the_last_one() -> None:
    asked = Asked()
    tracker = by_time(asked)
    first = tracker.look(None, NOW, False)
    assert first
    tracker.look(first.mark, NOW + 60, False)
    assert asked.since[1] == NOW - 300


def test_what_was_missed_while_nobody_watched_is_searched() -> None:
    asked = Asked()
    by_time(asked).look(f"{NOW - 86400:.0f}", NOW, False)
    assert asked.since == [NOW - 86400]


def test_a_mark_of_a_clock_that_was_ahead_hides_nothing() -> None:
    asked = Asked()
    by_time(asked).look(f"{NOW + 86400:.0f}", NOW, False)
    assert asked.since == [NOW - 300]


def test_a_source_that_reports_changes_is_searched_rarely() -> None:
    asked = Asked()
    tracker = by_time(asked)
    assert tracker.look(f"{NOW - 300:.0f}", NOW + 60, True) is None
    assert tracker.look(f"{NOW - 300:.0f}", NOW + 3600, True)
    assert asked.since == [NOW - 300]


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.write_text("joe\n")
    return path


def test_a_file_is_listed_once_for_each_version_of_it(users: Path) -> None:
    tracker = ByFile("staff", users, lambda: iter(["joe"]), nothing)
    now = users.stat().st_mtime + 10
    found = tracker.look(None, now, False)
    assert found
    assert (list(found.names), found.is_list) == (["joe"], True)
    assert tracker.look(found.mark, now, False) is None
    users.write_text("joe\nkim\n")
    assert tracker.look(found.mark, now + 10, False)


def test_a_file_that_was_just_changed_is_listed_again(users: Path) -> None:
    os.utime(users, (NOW, NOW))
    found = ByFile("staff", users, lambda: iter(["joe"]), nothing).look(None, NOW + 1, False)
    assert found
    assert found.mark is None


def test_a_file_that_is_missing_is_no_empty_one(tmp_path: Path) -> None:
    tracker = ByFile("staff", tmp_path / "none", lambda: iter(()), nothing)
    with pytest.raises(Temporary, match="cannot be read"):
        tracker.look(None, NOW, False)


def test_a_list_is_read_when_its_time_has_come() -> None:
    tracker = ByList("staff", lambda: iter(["joe"]), nothing, every=3600.0)
    found = tracker.look(None, NOW, False)
    assert found
    assert (list(found.names), found.is_list) == (["joe"], True)
    assert tracker.look(found.mark, NOW + 3599, False) is None
    assert tracker.look(found.mark, NOW + 3600, False)
    assert tracker.look(found.mark, NOW - 10, False)  # the clock was set back
