"""Which policy an account has, and who never gets a mailbox."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autocreate.accounts.directory import Directory
from autocreate.core.naming import Users
from autocreate.core.policy import Policy
from autocreate.errors import Temporary
from autocreate.model import LMTP, Account, Address
from autocreate.service.policies import AccountRules, PolicyChooser
from autocreate.tree.values import Tree
from tests.unit.house import EVERYONE, Accounts

JOE = Address("joe", "example.org")
STUDENTS = replace(EVERYONE, name="students", groups=frozenset(["students"]))
VISITORS = Policy("visitors", Tree(), create=False, why="they stay for a day")


@pytest.fixture
def accounts() -> Accounts:
    return Accounts({"joe": ["students"], "ann": ["staff", "wheel"]})


def chooser(accounts: Accounts, *policies: Policy, users: Users = Users()) -> PolicyChooser:  # noqa: B008
    administrators = frozenset(["cyrus", "group:wheel"])
    return PolicyChooser(AccountRules(users, policies, administrators), Directory([accounts]))


def test_the_first_policy_that_matches_decides(accounts: Accounts) -> None:
    policies = chooser(accounts, STUDENTS, EVERYONE)
    assert policies.choose(JOE, Account("joe", "staff"), LMTP).policy == STUDENTS
    assert policies.choose(JOE, Account("ann", "staff"), LMTP).policy == EVERYONE


def test_why_nothing_is_created(accounts: Accounts) -> None:
    joe = Account("joe", "staff")
    none, why = chooser(accounts).choose(JOE, joe, LMTP)
    assert (none, why) == (None, "no policy matches")
    none, why = chooser(accounts, VISITORS).choose(JOE, joe, LMTP)
    assert (none, why) == (None, "policy 'visitors' creates none: they stay for a day")


def test_an_address_without_a_domain_is_in_the_default_domain(accounts: Accounts) -> None:
    here = replace(EVERYONE, domains=frozenset(["example.org"]))
    policies = chooser(accounts, here, users=Users(default_domain="example.org"))
    assert policies.choose(Address("joe"), Account("joe", "staff"), LMTP).policy == here
    assert policies.choose(Address("joe", "b.test"), Account("joe", "staff"), LMTP).policy is None


@pytest.mark.parametrize(
    ("user", "is_administrator"),
    [("cyrus", True), ("anonymous", True), ("ann", True), ("joe", False)],
)
def test_administrators_by_name_and_by_group(
    accounts: Accounts, user: str, is_administrator: bool
) -> None:
    accounts.users |= {"cyrus": frozenset(), "anonymous": frozenset()}
    assert chooser(accounts).is_administrator(Account(user, "staff")) is is_administrator


def test_who_is_in_no_account_source_is_in_no_group(accounts: Accounts) -> None:
    guest = Account("ann", "")  # logged in, and known to nobody
    assert not chooser(accounts).is_administrator(guest)
    assert chooser(accounts, STUDENTS).choose(JOE, guest, "imap").policy is None


def test_groups_that_cannot_be_told_are_an_error(accounts: Accounts) -> None:
    def away(account: Account) -> frozenset[str]:
        raise Temporary("the directory is away")

    accounts.groups = away  # type: ignore[method-assign]
    with pytest.raises(Temporary, match="the directory is away"):
        chooser(accounts, STUDENTS).choose(JOE, Account("joe", "staff"), LMTP)
