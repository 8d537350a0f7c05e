"""Which accounts are meant, how many new mailboxes are too many, and the work on all of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from autocreate.accounts.directory import Directory
from autocreate.admin.bulk import AccountSelector, Selection, TooMany, each, outcome, require_sane
from autocreate.admin.plans import Changed, Plans
from autocreate.core.naming import Users
from autocreate.errors import ConfigurationError, Temporary
from autocreate.model import Address, Answer, Verdict
from autocreate.tree.actions import CreateMailbox, SetQuota, Subscribe, SubscribeShared
from autocreate.tree.plan import Plan, without_user_removed
from autocreate.tree.values import Quota
from tests.unit.house import Accounts


def never(user: str, why: Exception) -> None:
    raise AssertionError(f"{user}: {why}")


def roster(virtual_domains: bool = False) -> AccountSelector:
    staff = Accounts({"joe": ["tutors"], "ann": [], "kim@other.test": ["tutors"]})
    return AccountSelector(Directory([staff]), Users(virtual_domains, "example.org"))


def test_all_accounts_are_meant_unless_something_narrows_it() -> None:
    assert list(roster().users(Selection(), never)) == ["joe", "ann", "kim@other.test"]
    assert list(roster().users(Selection(groups=("tutors",)), never)) == ["joe", "kim@other.test"]
    assert list(roster(True).users(Selection(domain="other.test"), never)) == ["kim@other.test"]
    assert list(roster().users(Selection(users=("joe",)), never)) == ["joe"]


def test_a_source_that_is_not_there_and_one_that_cannot_list_are_told() -> None:
    with pytest.raises(ConfigurationError, match=r"there is no accounts\.other; one of staff"):
        list(roster().users(Selection(sources=("other",)), never))

    class Mute(Accounts):
        def names(self) -> Iterator[str] | None:  # type: ignore[override]
            return None

    with pytest.raises(Temporary, match=r"accounts\.staff: cannot list its users"):
        list(AccountSelector(Directory([Mute({})]), Users()).users(Selection(), never))


def test_a_policy_is_chosen_by_the_domain_of_the_user_or_of_the_selection() -> None:
    chosen = Selection(domain="example.org")
    assert roster().address("joe", chosen) == Address("joe", "example.org")
    assert roster(True).address("joe", chosen) == Address("joe")
    assert roster(True).address("kim@other.test", chosen) == Address("kim", "other.test")


@pytest.mark.parametrize(("new", "accounts"), [(31, 100), (11, 11), (5000, 5000)])
def test_an_absurd_share_of_new_mailboxes_is_refused(new: int, accounts: int) -> None:
    with pytest.raises(TooMany, match=f"{new} of {accounts} accounts have no mailbox"):
        require_sane(new, accounts, most=30)


@pytest.mark.parametrize(
    ("new", "accounts", "most"), [(30, 100, 30), (10, 10, 30), (0, 0, 30), (5000, 5000, 100)]
)
def test_a_sane_one_is_not(new: int, accounts: int, most: int) -> None:
    require_sane(new, accounts, most)


def test_work_goes_on_several_users_at_once_and_takes_no_more_from_the_list() -> None:
    taken = 0
    most_waiting = 0
    seen: list[str] = []
    together = threading.Barrier(3, timeout=10)

    def users() -> Iterator[str]:
        nonlocal taken, most_waiting
        for number in range(30):
            taken += 1
            most_waiting = max(most_waiting, taken - len(seen))
            yield f"user{number}"

    def work(user: str) -> Verdict:
        together.wait()  # passes only if three are at work
        return Verdict(Answer.ACCEPT, "stands", user)

    each(work, users(), 3, lambda user, _: seen.append(user))

    assert sorted(seen) == sorted(f"user{number}" for number in range(30))
    assert most_waiting <= 7


def test_an_error_about_one_user_stops_nobody_else() -> None:
    def work(user: str) -> Verdict:
        if user == "joe":
            raise Temporary("the database is away")
        return Verdict(Answer.ACCEPT, "stands", user)

    found: dict[str, Verdict] = {}
    each(work, ["ann", "joe", "kim"], 2, found.__setitem__)
    assert {user: verdict.answer for user, verdict in found.items()} == {
        "ann": Answer.ACCEPT,
        "joe": Answer.TEMPORARY,
        "kim": Answer.ACCEPT,
    }
    assert found["joe"].reason == "the database is away"


def test_an_end_in_the_middle_begins_nothing_more() -> None:
    begun: list[str] = []

    def work(user: str) -> Verdict:
        begun.append(user)
        return Verdict(Answer.ACCEPT, "stands", user)

    def interrupt(_user: str, _verdict: Verdict) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        each(work, (f"user{number}" for number in range(100)), 2, interrupt)
    assert len(begun) <= 5


PLAN = Plan("joe", "everyone", (CreateMailbox(("Sent",)), Subscribe(("Sent",))))


def test_what_became_of_a_user_in_words() -> None:
    planned = Verdict(Answer.ACCEPT, "", "joe", plan=PLAN)
    assert outcome(planned, is_applied=False) == "to be done"
    assert outcome(planned, is_applied=True) == "completed"
    assert outcome(Verdict(Answer.ACCEPT, "", plan=PLAN, created=True), True) == "created"
    assert outcome(Verdict(Answer.ACCEPT, ""), True) == "as it should be"
    assert outcome(Verdict(Answer.TEMPORARY, ""), True) == "failed"


def test_plans_are_carried_out_only_as_they_were_reviewed() -> None:
    first, second = Verdict(Answer.ACCEPT, "", "joe", plan=PLAN), Verdict(Answer.ACCEPT, "", "ann")
    with Plans() as plans, Plans() as again:
        plans.add("joe", first)
        plans.add("ann", second)  # has nothing to do
        assert len(plans) == 1
        assert list(plans.users()) == ["joe"]
        assert plans.verdict("joe") == first
        again.add("joe", first)
        again.require(plans.checksum())
        again.add("kim", Verdict(Answer.ACCEPT, "", "kim", plan=Plan("kim", "p", PLAN.actions)))
        with pytest.raises(Changed, match="something has changed meanwhile"):
            again.require(plans.checksum())


def test_what_was_done_away_with_does_not_come_back_and_nothing_is_set_on_it() -> None:
    plan = Plan(
        "joe",
        "everyone",
        (
            SetQuota(Quota(1024)),
            CreateMailbox(("Sent",)),
            CreateMailbox(("Drafts",)),
            Subscribe(("Sent",)),
            Subscribe(("Drafts",)),
            SubscribeShared("News"),
            SubscribeShared("Jobs"),
        ),
    )
    given = frozenset({"folder Sent", "subscription to shared News"})
    assert without_user_removed(plan, given).actions == (
        SetQuota(Quota(1024)),
        CreateMailbox(("Drafts",)),
        Subscribe(("Drafts",)),
        SubscribeShared("Jobs"),
    )
    assert CreateMailbox(()).user_removable == ""
    assert SetQuota(Quota(1)).user_removable == ""
