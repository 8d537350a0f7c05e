"""Who shares the answer that somebody else's question about a user gets, and who is not served by it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from autocreate.model import Account, Address, Answer, Login, Recipient, Verdict
from autocreate.service.provisioner import DecisionRequest
from tests.servers.common import wait_until
from tests.unit.clock import Clock
from tests.unit.house import Build, House

LONG = 30.0
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
