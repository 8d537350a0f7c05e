"""New mailboxes and their hooks in every kind of journal: one holder, one runner, and nothing in between."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from autocreate.core.policy import Policy
from autocreate.service.creations import Creations
from autocreate.service.hooks import Hooks
from autocreate.service.journal import Entry, Journal
from autocreate.service.journal_creations import DueHook
from autocreate.tree.values import Hook, Tree

from .journals import SERVERS, new_journal

HOOK = DueHook("joe", "everyone", '{"user": "joe"}')


@pytest.fixture(scope="module", params=["sqlite", *SERVERS])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with new_journal(request.param) as url:
        yield url


@pytest.fixture
def journal(url: str) -> Iterator[Journal]:
    journal = Journal(url, time.time)
    yield journal
    for entry in list(journal.all_unfinished()):
        journal.finish(entry.user)
    for hook in journal.creations.all_hooks():
        journal.creations.change_hook(hook, None)
    journal.close()


def begin(journal: Journal, holder: str, user: str = "joe") -> None:
    journal.begin(Entry(user, user), Creations(journal, holder=holder).new(user))


def test_a_creation_comes_back_as_it_was_written(journal: Journal) -> None:
    creation = replace(Creations(journal, holder="one:1").new("jöe"), welcomed=True)
    journal.begin(Entry("jöe", "jöe"), creation)
    assert journal.creations.of("jöe") == creation
    assert journal.creations.of("Jöe") is None


def test_of_many_that_take_over_one_does(journal: Journal) -> None:
    creations = Creations(journal, holder="dead:1")
    stale = replace(creations.new("joe"), held_until=1.0)
    journal.begin(Entry("joe", "joe"), stale)

    def take(number: int) -> bool:
        ours = Creations(journal, holder=f"host{number}:1").new("joe")
        return journal.creations.take(stale, ours)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(take, range(8))) == [False] * 7 + [True]


def test_many_that_begin_at_once_leave_one_holder(journal: Journal) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: begin(journal, f"host{number}:1"), range(8)))
    held = journal.creations.of("joe")
    assert held is not None
    journal.finish("joe", (), HOOK)
    assert journal.creations.of("joe") is None


def test_what_is_left_is_free_for_others(journal: Journal) -> None:
    begin(journal, "one:1")
    held = journal.creations.of("joe")
    assert held is not None
    journal.fail(Entry("joe", "joe", attempts=1), (), replace(held, welcomed=True))
    left = journal.creations.of("joe")
    assert left is not None
    assert (left.holder, left.held_until, left.welcomed) == ("", 0.0, True)
    # Whoever has waited for too long frees nobody else's.
    journal.fail(Entry("joe", "joe", attempts=2))
    assert journal.creations.of("joe") == left


def test_a_hook_is_due_when_a_new_tree_is_finished_and_only_then(journal: Journal) -> None:
    journal.begin(Entry("ann", "ann"))  # an older mailbox
    journal.finish("ann", (), replace(HOOK, user="ann"))
    begin(journal, "one:1")
    assert journal.creations.all_hooks() == []
    journal.finish("joe", (), HOOK)
    assert journal.creations.all_hooks() == [HOOK]
    assert journal.creations.count_hooks() == 1


def test_a_mailbox_that_was_created_again_replaces_its_hook(journal: Journal) -> None:
    for event in ("first", "second"):
        begin(journal, "one:1")
        journal.finish("joe", (), replace(HOOK, event=event))
    assert [it.event for it in journal.creations.all_hooks()] == ["second"]


def test_an_event_may_be_long(journal: Journal) -> None:
    begin(journal, "one:1")
    journal.finish("joe", (), replace(HOOK, event="Ω" * 200_000))
    assert journal.creations.all_hooks()[0].event == "Ω" * 200_000


def test_of_many_that_claim_one_hook_one_runs_it(journal: Journal) -> None:
    begin(journal, "one:1")
    journal.finish("joe", (), HOOK)
    with ThreadPoolExecutor(8) as pool:
        claimed = list(
            pool.map(
                lambda _: journal.creations.change_hook(HOOK, replace(HOOK, attempts=1)), range(8)
            )
        )
    assert sorted(claimed) == [False] * 7 + [True]


def test_hooks_are_claimed_in_order_and_no_more_than_asked_for(journal: Journal) -> None:
    for number, user in enumerate(("a", "b", "c")):
        begin(journal, "one:1", user)
        journal.finish(user, (), replace(HOOK, user=user, next_try=float(number)))
    hooks = Hooks(journal, [Policy("everyone", Tree(), hook=Hook(("/bin/true",)))])
    assert [run.user for run, _ in hooks.claim(2)] == ["a", "b"]
    assert [run.user for run, _ in hooks.claim(2)] == ["c"]
    assert hooks.claim(2) == []
    assert hooks.claim(0) == []
