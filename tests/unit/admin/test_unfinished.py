"""Unfinished trees: which there are, another attempt, and none at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autocreate.admin import unfinished
from autocreate.admin.unfinished import NoSuchEntry
from autocreate.errors import ConfigurationError, Temporary
from autocreate.model import Answer
from autocreate.service.journal import Entry
from tests.unit.admin.site import components
from tests.unit.house import House

Build = Callable[..., House]
JOE = Entry("joe", "joe@example.org", error="away", attempts=3)
KIM = Entry("kim", "kim@example.org")


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return lambda **named: House(tmp_path, accounts={"joe": (), "kim": ()}, **named)


def test_the_entries_of_all_or_of_some(build: Build) -> None:
    journal = build().journal
    journal.begin(KIM)
    journal.begin(JOE)
    assert [it.user for it in unfinished.entries_of(journal)] == ["joe", "kim"]
    assert unfinished.entries_of(journal, ["kim"]) == [KIM]
    with pytest.raises(NoSuchEntry, match="no unfinished tree: ann, who"):
        unfinished.entries_of(journal, ["joe", "ann", "who"])


def test_a_retry_finishes_a_tree_and_strikes_it_out(build: Build) -> None:
    house = build()
    house.journal.begin(JOE)
    ((user, verdict),) = unfinished.retry(components(house), [JOE])
    assert (user, verdict.answer, verdict.created) == ("joe", Answer.ACCEPT, True)
    assert unfinished.entries_of(house.journal) == []


def test_what_fails_again_is_kept_for_later(build: Build) -> None:
    house = build()
    house.journal.begin(JOE)
    house.store.failure = Temporary("Cyrus is away")
    ((_, verdict),) = unfinished.retry(components(house), [JOE])
    assert verdict.answer is Answer.TEMPORARY
    (kept,) = unfinished.entries_of(house.journal)
    assert (kept.attempts, kept.error) == (4, "Cyrus is away")


def test_in_dry_run_nothing_is_tried(build: Build) -> None:
    house = build(dry_run=True)
    with pytest.raises(ConfigurationError, match="dry-run"):
        list(unfinished.retry(components(house), [JOE]))
    assert not house.store.trees


def test_dropping_forgets_the_retry_and_touches_no_mailbox(build: Build) -> None:
    house = build()
    journal = house.journal
    for entry in (JOE, KIM):
        journal.begin(entry)
    before = dict(house.store.trees)
    unfinished.drop(journal, [JOE])
    assert [it.user for it in unfinished.entries_of(journal)] == ["kim"]
    assert house.store.trees == before
