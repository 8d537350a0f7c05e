"""The brake: what is held back by `[limits]`, what is not, and what it writes."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from autocreate.errors import CreationLimited, Temporary
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.process import complete_unfinished
from autocreate.model import Address, Answer, Login
from autocreate.service.creation_limit import CreationLimit
from tests.unit.clock import Clock
from tests.unit.house import Build, House

USERS = [f"user{number}" for number in range(1000)]
REASON = "too many new mailboxes in this minute: limits.creations_per_minute"


class Once(threading.Event):
    """Set when it is first waited for: a loop runs once."""

    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return True


@pytest.fixture
def clock() -> Clock:
    return Clock()


def house_with(build: Build, limit: CreationLimit, clock: Clock) -> House:
    return build(accounts=dict.fromkeys(USERS, ()), limit=limit, clock=clock)


def test_beyond_the_limit_new_users_are_deferred_and_known_ones_accepted(
    build: Build, clock: Clock
) -> None:
    house = house_with(build, CreationLimit(2, clock=clock), clock)
    answers = [house.answer(f"{user}@example.org") for user in USERS[:5]]
    assert answers == [Answer.ACCEPT, Answer.ACCEPT, *[Answer.TEMPORARY] * 3]
    assert house.verify("user4@example.org").reason == REASON
    assert house.answer("user0@example.org") is Answer.ACCEPT
    house.mailboxes.clear()
    assert house.answer("user1@example.org") is Answer.ACCEPT
    assert house.answer("nobody@example.org") is Answer.UNKNOWN
    clock.now += 30.0
    assert house.verify("user4@example.org").created


def test_a_flood_writes_one_line_a_minute_and_nothing_to_the_journal(
    build: Build, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    limit = CreationLimit(1, clock=clock)
    house = house_with(build, limit, clock)
    house.verify("user0@example.org")
    caplog.set_level(logging.INFO)
    caplog.clear()
    for user in USERS[1:]:
        house.verify(f"{user}@example.org")
    assert caplog.messages == [
        "limits.creations_per_minute: 1 mailbox was created within a minute; further ones are "
        "deferred (451)"
    ]
    assert house.service.unfinished(everything=True) == []
    clock.now += 60.0
    limit._counts.log.flush()
    assert len(caplog.messages) == 2
    assert caplog.messages[1].endswith("(998 more since the last such line)")


def test_a_domain_holds_back_itself_alone(build: Build, clock: Clock) -> None:
    limit = CreationLimit(None, 1, clock=clock)
    house = build(
        accounts=dict.fromkeys(USERS, ()),
        limit=limit,
        domains=("example.org", "example.net"),
    )
    assert house.answer("user0@example.org") is Answer.ACCEPT
    assert house.answer("user1@example.org") is Answer.TEMPORARY
    assert house.answer("user2@example.net") is Answer.ACCEPT
    assert limit.snapshot() == {"creations_per_minute_per_domain": {"limit": 1, "deferred": 1}}


def test_what_was_not_created_does_not_count(build: Build, clock: Clock) -> None:
    house = house_with(build, CreationLimit(1, clock=clock), clock)
    house.store.failure = Temporary("Cyrus is away")
    assert house.verify("user0@example.org").reason == "Cyrus is away"
    house.store.failure = None
    assert house.verify("user0@example.org").created


def test_a_reload_keeps_the_count(clock: Clock) -> None:
    before = CreationLimit(1, clock=clock)
    with before.creation("example.org") as count:
        count()
    after = CreationLimit(1, None, before)
    with pytest.raises(CreationLimited), after.creation("example.org"):
        pass
    assert after.snapshot() == {"creations_per_minute": {"limit": 1, "deferred": 1}}


def test_without_limits_there_is_none() -> None:
    limit = CreationLimit()
    for _ in range(1000):
        with limit.creation("example.org") as count:
            count()
    assert limit.snapshot() is None


def test_domains_take_bounded_memory(clock: Clock) -> None:
    limit = CreationLimit(None, 1, clock=clock)
    for number in range(10_000):
        with limit.creation(f"domain{number}.test") as count:
            count()
        clock.now += 1.0
    assert len(limit._counts.domains) <= 1000


def test_a_preview_and_dry_run_count_nothing(build: Build, clock: Clock) -> None:
    limit = CreationLimit(1, clock=clock)
    house = house_with(build, limit, clock)
    for user in USERS[:5]:
        assert house.service.provision(Address(user, "example.org"), apply=False).plan
    assert limit.snapshot() == {"creations_per_minute": {"limit": 1, "deferred": 0}}


def test_a_login_goes_on_and_its_mailbox_comes_later(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(
        tmp_path,
        accounts=dict.fromkeys(USERS, ()),
        limit=CreationLimit(1, clock=clock),
        clock=clock,
    )
    house.verify("user0@example.org")
    login = Login("user1", "imap")
    verdict = house.service.log_in(login)
    assert (verdict.answer, verdict.limited) == (Answer.TEMPORARY, True)
    house.service.schedule_retry(login)
    caplog.clear()

    def complete() -> None:
        complete_unfinished(ServiceGate(house.service), Once())

    complete()
    entry = house.journal.entry("user1")
    assert entry is not None
    # Not an attempt: the pause does not grow, however long the limit holds the user back.
    assert (entry.attempts, entry.next_try) == (0, clock.now + 60.0)
    assert "user1" not in house.store.trees
    assert not [it for it in caplog.messages if "retried" in it]
    clock.now += 60.0
    complete()
    assert "user1" in house.store.trees
    assert house.journal.entry("user1") is None


def test_an_unfinished_tree_that_is_held_back_stays_in_the_journal(
    build: Build, clock: Clock
) -> None:
    house = house_with(build, CreationLimit(1, clock=clock), clock)
    house.verify("user0@example.org")
    house.service._unfinished.begin("user1", Address("user1", "example.org"), "lmtp")
    (entry,) = house.service.unfinished(everything=True)
    assert house.service.complete(entry).limited
    kept = house.journal.entry("user1")
    assert kept is not None
    assert (kept.begun, kept.attempts) == (True, 0)
