"""Accounts and mailboxes side by side: what is asked again of those who were listed, and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from autocreate.admin.selection import Selection
from autocreate.admin.survey import Survey
from autocreate.admin.surveying import survey_accounts
from autocreate.core.naming import Users
from autocreate.core.policy import Policy
from autocreate.errors import Refused
from tests.unit.admin.site import INBOX, NOBODY, components, fail_for
from tests.unit.house import EVERYONE, TREE, House

# Both get a mailbox, whatever the groups say.
STAFF = Policy("staff", TREE, groups=frozenset(["staff"]))
NO_ROBOTS = Policy("robots", TREE, users=frozenset(["robot"]), create=False)
LISTED = {f"user{number}": () for number in range(250)}


def exempt(house: House, selection: Selection = Selection()) -> set[str]:  # noqa: B008 -- a frozen value
    """Who is to have no mailbox, by a survey."""
    with Survey() as survey:
        survey_accounts(survey, components(house), selection)
        assert survey.exempt + survey.count_without_mailbox() == survey.accounts
        return set(survey.everyone()) - set(survey.without_mailbox())


def test_who_was_listed_is_not_looked_up_where_the_groups_change_nothing(tmp_path: Path) -> None:
    accounts = {**LISTED, "robot": (), "cyrus": ()}
    house = House(tmp_path, (NO_ROBOTS, STAFF, EVERYONE), accounts=accounts)
    assert exempt(house) == {"robot", "cyrus"}
    assert house.accounts.questions == []


def test_who_was_listed_is_looked_up_once_where_the_groups_decide(tmp_path: Path) -> None:
    accounts = {**LISTED, "guest": ("guests",), "robot": ("guests",)}
    house = House(tmp_path, (NO_ROBOTS, NOBODY, EVERYONE), accounts=accounts)
    assert exempt(house) == {"guest", "robot"}
    assert sorted(house.accounts.questions) == sorted({*accounts} - {"robot"})


def test_nobody_is_looked_up_who_has_a_mailbox(tmp_path: Path) -> None:
    house = House(tmp_path, (NOBODY, EVERYONE), accounts={**LISTED, "guest": ("guests",)})
    house.store.trees = dict.fromkeys(LISTED, INBOX)
    with Survey() as survey:
        survey_accounts(survey, components(house), Selection())
    assert house.accounts.questions == ["guest"]


def test_of_one_domain_the_groups_may_decide_and_of_another_not(tmp_path: Path) -> None:
    guests = replace(NOBODY, domains=frozenset(["other.test"]))
    users = Users(True, "example.org")
    accounts = {"joe": ("guests",), "kim@other.test": ("guests",)}
    house = House(tmp_path, (guests, EVERYONE), users, accounts)
    with Survey() as survey:
        survey_accounts(survey, components(house, users), Selection())
        assert list(survey.without_mailbox()) == ["joe"]
    assert house.accounts.questions == ["kim@other.test"]


def test_who_was_named_and_not_listed_is_looked_up(tmp_path: Path) -> None:
    house = House(tmp_path, (NO_ROBOTS, EVERYONE), accounts={"joe": ()})
    assert exempt(house, Selection(users=("joe", "robot"))) == set()
    assert sorted(house.accounts.questions) == ["joe", "robot"]


def test_a_failed_lookup_exempts_nobody_and_stops_nothing(tmp_path: Path) -> None:
    accounts = {**LISTED, "ann": ("guests",), "joe": ("guests",)}
    house = House(tmp_path, (NOBODY, EVERYONE), accounts=accounts)
    fail_for(house.accounts, "joe")
    assert exempt(house) == {"ann"}


def test_with_virtual_domains_a_mailbox_that_is_not_listed_is_looked_for(tmp_path: Path) -> None:
    users = Users(True, "example.org")
    house = House(tmp_path, users=users, accounts={"joe": (), "joe@other.test": (), "a b": ()})
    house.store.trees = {"joe": INBOX, "joe@other.test": INBOX}
    listed = house.store.users

    def without_joe() -> Iterator[str]:
        return (user for user in listed() if user != "joe")

    exists = house.store.exists

    def impossible(user: str) -> bool:
        if user == "a b":
            raise Refused("no mailbox can have this name")
        return exists(user)

    house.store.users = without_joe  # type: ignore[method-assign]
    house.store.exists = impossible  # type: ignore[method-assign]
    with Survey() as survey:
        survey_accounts(survey, components(house, users), Selection())
        assert list(survey.with_both()) == ["joe", "joe@other.test"]
        assert list(survey.without_mailbox()) == ["a b"]
