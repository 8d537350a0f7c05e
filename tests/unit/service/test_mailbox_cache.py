"""Whose mailbox is known to exist."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from autocreate.service.mailbox_cache import MailboxCache
from tests.unit.clock import Clock


def test_a_user_is_believed_for_a_while() -> None:
    clock = Clock()
    ready = MailboxCache(10, 300.0, clock)
    ready.add("joe", ready.moment())
    clock.now += 299.0
    assert "joe" in ready
    assert "ann" not in ready
    clock.now += 1.0
    assert "joe" not in ready


def test_the_one_believed_longest_is_forgotten_first() -> None:
    ready = MailboxCache(2, 300.0, Clock())
    for user in ("joe", "ann", "joe", "bob"):
        ready.add(user, ready.moment())
    assert [user for user in ("joe", "ann", "bob") if user in ready] == ["joe", "bob"]
    assert ready.snapshot() == {"users": 2, "size": 2, "seconds": 300.0}


def test_what_was_found_before_something_was_forgotten_is_not_believed() -> None:
    ready = MailboxCache(10, 300.0, Clock())
    before = ready.moment()
    ready.discard("joe")
    ready.add("joe", before)
    assert "joe" not in ready
    before = ready.moment()
    ready.clear()
    ready.add("joe", before)
    assert "joe" not in ready
    ready.add("joe", ready.moment())
    assert "joe" in ready


def test_many_threads_may_ask_while_users_come_and_go() -> None:
    clock = Clock()
    ready = MailboxCache(5, 3.0, clock)

    def use(number: int) -> bool:
        clock.now += 1.0
        ready.add(f"user{number % 7}", ready.moment())
        return f"user{number % 11}" in ready

    with ThreadPoolExecutor(8) as threads:
        assert len(list(threads.map(use, range(3000)))) == 3000
