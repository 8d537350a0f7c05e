"""Whose mailbox is known to stand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from autocreate.ready import Ready
from tests.unit.clock import Clock


def test_a_user_is_believed_for_a_while() -> None:
    clock = Clock()
    ready = Ready(10, 300.0, clock)
    ready.add("joe")
    clock.now += 299.0
    assert "joe" in ready
    assert "ann" not in ready
    clock.now += 1.0
    assert "joe" not in ready


def test_the_least_recently_used_is_forgotten_first() -> None:
    ready = Ready(2, 300.0, Clock())
    ready.add("joe")
    ready.add("ann")
    assert "joe" in ready
    ready.add("bob")
    assert [user for user in ("joe", "ann", "bob") if user in ready] == ["joe", "bob"]


def test_many_threads_may_ask_while_users_come_and_go() -> None:
    clock = Clock()
    ready = Ready(5, 3.0, clock)

    def use(number: int) -> bool:
        clock.now += 1.0
        ready.add(f"user{number % 7}")
        return f"user{number % 11}" in ready

    with ThreadPoolExecutor(8) as threads:
        assert len(list(threads.map(use, range(3000)))) == 3000
