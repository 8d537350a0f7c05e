"""Whose mailbox is known to exist."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from autocreate.service.mailbox_cache import MailboxCache
from tests.unit.clock import Clock


def test_a_user_is_remembered_for_a_while() -> None:
    clock = Clock()
    mailboxes = MailboxCache(10, 300.0, clock)
    mailboxes.add("joe", mailboxes.generation)
    clock.now += 299.0
    assert "joe" in mailboxes
    assert "ann" not in mailboxes
    clock.now += 1.0
    assert "joe" not in mailboxes


def test_the_oldest_entry_goes_first() -> None:
    mailboxes = MailboxCache(2, 300.0, Clock())
    for user in ("joe", "ann", "joe", "bob"):
        mailboxes.add(user, mailboxes.generation)
    assert [user for user in ("joe", "ann", "bob") if user in mailboxes] == ["joe", "bob"]
    assert mailboxes.snapshot() == {"users": 2, "size": 2, "seconds": 300.0}


def test_what_was_found_before_something_was_discarded_is_not_remembered() -> None:
    mailboxes = MailboxCache(10, 300.0, Clock())
    before = mailboxes.generation
    mailboxes.discard("joe")
    mailboxes.add("joe", before)
    assert "joe" not in mailboxes
    before = mailboxes.generation
    mailboxes.clear()
    mailboxes.add("joe", before)
    assert "joe" not in mailboxes
    mailboxes.add("joe", mailboxes.generation)
    assert "joe" in mailboxes


def test_many_threads_may_ask_while_users_come_and_go() -> None:
    clock = Clock()
    mailboxes = MailboxCache(5, 3.0, clock)

    def use(number: int) -> bool:
        clock.now += 1.0
        mailboxes.add(f"user{number % 7}", mailboxes.generation)
        return f"user{number % 11}" in mailboxes

    with ThreadPoolExecutor(8) as threads:
        assert len(list(threads.map(use, range(3000)))) == 3000
