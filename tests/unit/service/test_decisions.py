"""Who shares the answer that somebody else's question about a user gets, and who is not served by it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from autocreate.accounts.cached import CachedSource, Limits
from autocreate.errors import NotInMemory
from autocreate.model import Account, Address, Answer, Login, Recipient, Verdict
from autocreate.service.provisioner import UNKNOWN_USER
from autocreate.service.work import DecisionRequest
from tests.servers.common import wait_until
from tests.unit.clock import Clock
from tests.unit.house import Accounts, Build, House

LONG = 30.0
LIMITS = Limits(found=60.0, unknown=10.0, error=2.0, size=10)
KEY = ("kim", True)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def mail(house: House) -> Verdict:
    return house.service.verify(Recipient("<kim@example.org>"))


@contextmanager
def look_up_under_way(
    house: House, threads: ThreadPoolExecutor, ask: Callable[[House], Verdict] = mail
) -> Iterator[tuple[Future[Verdict], threading.Event]]:
    """A question about kim, whose account is being looked up, and what lets the account source answer.

    The answer is what was so when it was asked.
    """
    asked, go_on = threading.Event(), threading.Event()
    lookup = house.accounts.lookup

    def slow(user: str) -> Account | None:
        found = lookup(user)
        house.accounts.lookup = lookup  # type: ignore[method-assign]
        asked.set()
        assert go_on.wait(LONG)
        return found

    house.accounts.lookup = slow  # type: ignore[method-assign]
    first = threads.submit(ask, house)
    assert asked.wait(LONG)
    try:
        yield first, go_on
    finally:
        go_on.set()


def wait_for_both(house: House) -> None:
    wait_until(lambda: house.service.single_flight.waiting(KEY) == 2, LONG, "the second caller")


def test_a_no_is_for_all_who_ask_meanwhile(build: Build, threads: ThreadPoolExecutor) -> None:
    house = build()
    with look_up_under_way(house, threads) as (first, go_on):
        second = threads.submit(mail, house)
        wait_for_both(house)
        house.accounts.users["kim"] = frozenset()
        go_on.set()
        assert first.result(LONG).answer is second.result(LONG).answer is Answer.UNKNOWN


def test_a_no_by_the_configuration_before_a_reload_is_not_the_answer_after_it(
    build: Build, threads: ThreadPoolExecutor
) -> None:
    before = build()
    after = build(accounts={"kim": ()}, before=before)
    with look_up_under_way(before, threads) as (first, go_on):
        second = threads.submit(mail, after)
        wait_for_both(after)
        go_on.set()
        assert first.result(LONG).answer is Answer.UNKNOWN
        assert second.result(LONG).answer is Answer.ACCEPT


def test_what_is_made_by_the_configuration_before_a_reload_is_not_made_twice(
    build: Build, threads: ThreadPoolExecutor
) -> None:
    before = build(accounts={"kim": ()})
    after = build(before=before)
    with look_up_under_way(before, threads) as (first, go_on):
        second = threads.submit(mail, after)
        wait_for_both(after)
        go_on.set()
        assert first.result(LONG).created
        assert second.result(LONG).reason == "created by a concurrent request"
    assert after.store.trees == {}


@pytest.mark.parametrize("whom", ["kim", None])
def test_a_no_under_way_while_accounts_are_forgotten_is_not_the_answer_to_who_asks_then(
    build: Build, threads: ThreadPoolExecutor, whom: str | None
) -> None:
    house = build()
    with look_up_under_way(house, threads) as (first, go_on):
        house.accounts.users["kim"] = frozenset()
        house.service.invalidate_accounts(whom)
        second = threads.submit(mail, house)
        wait_for_both(house)
        go_on.set()
        assert first.result(LONG).answer is Answer.UNKNOWN
        assert second.result(LONG).answer is Answer.ACCEPT


def test_a_no_to_a_login_of_long_ago_is_not_the_answer_to_who_logs_in_now(
    build: Build, threads: ThreadPoolExecutor
) -> None:
    clock = Clock()
    house = build(clock=clock)
    house.service.schedule_retry(Login("kim", "imap"))
    (entry,) = house.service.unfinished(everything=True)
    clock.now += 2 * 3600.0
    with look_up_under_way(house, threads, lambda it: it.service.complete(entry)) as (late, go_on):
        login = threads.submit(house.service.log_in, Login("kim", "imap"))
        wait_for_both(house)
        go_on.set()
        assert late.result(LONG).answer is Answer.UNKNOWN
        assert login.result(LONG).created


def test_a_decision_may_be_asked_for_again_and_by_one_who_left_before(
    build: Build, threads: ThreadPoolExecutor
) -> None:
    house = build(accounts={"kim": ()})
    decisions = house.service._decisions
    request = DecisionRequest(Address("kim", "example.org"), "kim", apply=True)
    with look_up_under_way(house, threads) as (first, go_on):
        decision = decisions.start(request)
        assert decision.result(0.01).answer is Answer.TEMPORARY
        go_on.set()
        assert first.result(LONG).created
        assert decision.result(LONG) == decision.result(LONG)
    assert decision.result(LONG).reason == "created by a concurrent request"
    assert decisions.start(request).result(0.0).reason == "mailbox known to exist"


# -- in the caller's thread ----------------------------------------------------------------------


class Memory(Accounts):
    """Answers from memory, unless it `must_wait`. Notes which threads ask."""

    def __init__(self, users: Mapping[str, Iterable[str]]) -> None:
        super().__init__(users)
        self.must_wait = False
        self.threads: list[threading.Thread] = []

    def lookup(self, user: str) -> Account | None:
        self.threads.append(threading.current_thread())
        return super().lookup(user)

    def recall(self, user: str) -> Account | None:
        if self.must_wait:
            raise NotInMemory("not now")
        return self.lookup(user)


def test_an_unknown_recipient_needs_no_other_thread(build: Build) -> None:
    accounts = Memory({})
    verdict = mail(build(source=CachedSource(accounts, LIMITS)))
    assert (verdict.answer, verdict.reason) == (Answer.UNKNOWN, UNKNOWN_USER)
    assert [it.source for it in verdict.asked] == ["staff"]
    assert str(verdict.address) == "kim@example.org"
    assert accounts.threads == [threading.current_thread()]


def test_an_account_that_was_found_is_not_looked_up_twice(build: Build) -> None:
    accounts = Memory({"kim": ()})
    verdict = mail(build(source=CachedSource(accounts, Limits(0, 0, 0, 10))))
    assert verdict.created
    assert accounts.questions == ["kim"]
    assert [it.milliseconds is None for it in verdict.asked] == [False]


def test_a_source_that_cannot_tell_defers_in_the_callers_thread(build: Build) -> None:
    accounts = Memory({})
    accounts.fails = True
    verdict = mail(build(source=accounts))
    assert (verdict.answer, verdict.reason) == (
        Answer.TEMPORARY,
        "accounts.staff: the database is away",
    )
    assert accounts.threads == [threading.current_thread()]


def test_a_source_that_must_wait_is_asked_in_another_thread(build: Build) -> None:
    accounts = Memory({})
    accounts.must_wait = True
    verdict = mail(build(source=CachedSource(accounts, LIMITS)))
    assert verdict.answer is Answer.UNKNOWN
    assert [it.source for it in verdict.asked] == ["staff"]
    assert threading.current_thread() not in accounts.threads


def test_a_defect_of_a_memory_source_defers(
    build: Build, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    accounts = Memory({})

    def broken(_user: str) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(accounts, "recall", broken)
    assert mail(build(source=accounts)).answer is Answer.TEMPORARY
    assert "kim: a defect of this program" in caplog.text


def test_mail_during_a_first_login_gets_the_answer_of_the_login(
    build: Build, threads: ThreadPoolExecutor
) -> None:
    """The login proves the account, which no source may know yet."""
    accounts = Memory({})
    house = build(source=accounts)
    making, go_on = threading.Event(), threading.Event()
    exists = house.store.exists

    def slow(user: str) -> bool:
        making.set()
        assert go_on.wait(LONG)
        return exists(user)

    house.store.exists = slow  # type: ignore[method-assign]
    login = threads.submit(house.service.log_in, Login("kim", "imap"))
    assert making.wait(LONG)
    second = threads.submit(mail, house)
    wait_for_both(house)
    go_on.set()
    assert login.result(LONG).created
    assert second.result(LONG).answer is Answer.ACCEPT


def test_a_login_is_never_looked_up_in_the_callers_thread(build: Build) -> None:
    accounts = Memory({"kim": ()})
    assert build(source=accounts).service.log_in(Login("kim", "imap")).created
    assert threading.current_thread() not in accounts.threads
