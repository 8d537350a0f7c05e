"""Which accounts a selection has, and the address by which each is judged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autocreate.accounts.directory import Directory
from autocreate.admin.selection import AccountSelector, Selection
from autocreate.core.naming import Users
from autocreate.errors import ConfigurationError
from autocreate.model import Address
from tests.unit.admin.site import fail_for
from tests.unit.house import Accounts

STAFF = {"joe": ["tutors"], "ann": [], "kim@other.test": ["tutors"]}


def never(user: str, error: Exception) -> None:
    raise AssertionError(f"{user}: {error}")


def selector(virtual_domains: bool = False, *domains: str) -> AccountSelector:
    users = Users(virtual_domains, "example.org")
    return AccountSelector(Directory([Accounts(STAFF)]), users, domains)


def test_a_selection_has_all_accounts_unless_something_narrows_it() -> None:
    assert list(selector().users(Selection(), never)) == ["joe", "ann", "kim@other.test"]
    assert list(selector().users(Selection(groups=("tutors",)), never)) == ["joe", "kim@other.test"]
    assert list(selector(True).users(Selection(domain="other.test"), never)) == ["kim@other.test"]
    assert list(selector().users(Selection(users=("joe",)), never)) == ["joe"]


def test_the_default_domain_has_the_users_whose_id_contains_none() -> None:
    chosen = Selection(domain="example.org")
    assert list(selector(True).users(chosen, never)) == ["joe", "ann"]


def test_without_virtual_domains_a_domain_does_not_filter() -> None:
    chosen = Selection(domain="other.test")
    assert list(selector().users(chosen, never)) == ["joe", "ann", "kim@other.test"]


def test_a_named_user_without_an_account_is_in_no_group() -> None:
    chosen = Selection(groups=("tutors",), users=("joe", "ann", "nobody"))
    assert list(selector().users(chosen, never)) == ["joe"]


def test_a_source_that_does_not_exist_or_cannot_list_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"there is no accounts\.other; one of staff"):
        list(selector().users(Selection(sources=("other",)), never))

    class Mute(Accounts):
        def names(self) -> Iterator[str] | None:  # type: ignore[override]
            return None

    with pytest.raises(ConfigurationError, match=r"accounts\.staff: cannot list its users"):
        list(AccountSelector(Directory([Mute({})]), Users()).users(Selection(), never))


def test_a_user_whose_groups_cannot_be_looked_up_is_reported_and_stops_nobody_else() -> None:
    staff = Accounts(STAFF)
    fail_for(staff, "joe")
    failed: dict[str, str] = {}
    chosen = AccountSelector(Directory([staff]), Users()).users(
        Selection(groups=("tutors",)), lambda user, error: failed.update({user: str(error)})
    )
    assert list(chosen) == ["kim@other.test"]
    assert failed == {"joe": "accounts.staff: the database is away"}


def test_a_policy_is_chosen_by_the_domain_of_the_user_or_of_the_selection() -> None:
    chosen = Selection(domain="example.org")
    assert selector().address("joe", chosen) == Address("joe", "example.org")
    assert selector(True).address("joe", chosen) == Address("joe")
    assert selector(True).address("kim@other.test", chosen) == Address("kim", "other.test")


@pytest.mark.parametrize(
    ("domains", "domain"),
    [
        (("example.org",), "example.org"),
        (("example.org", "other.test"), ""),
        (("*",), ""),
        ((), ""),
    ],
)
def test_an_only_domain_of_ours_is_that_of_all_users(domains: tuple[str, ...], domain: str) -> None:
    accounts = selector(False, *domains)
    assert accounts.address("joe", Selection()) == Address("joe", domain)
    assert accounts.knows_domain(Selection()) is bool(domain)
    assert accounts.knows_domain(Selection(domain="other.test"))


def test_virtual_domains_say_the_domain_of_every_user() -> None:
    assert selector(True).knows_domain(Selection())


@pytest.mark.parametrize(
    ("chosen", "has_all"),
    [
        (Selection(), True),
        (Selection(sources=("staff",)), False),
        (Selection(groups=("tutors",)), False),
        (Selection(users=("joe",)), False),
    ],
)
def test_only_an_unfiltered_selection_has_every_account(chosen: Selection, has_all: bool) -> None:
    assert selector().selects_all(chosen) is has_all
    assert selector(True).selects_all(chosen) is has_all


def test_a_domain_filters_only_where_user_ids_contain_one() -> None:
    assert selector().selects_all(Selection(domain="example.org"))
    assert not selector(True).selects_all(Selection(domain="example.org"))
