"""`audit`: inconsistencies between accounts, mailboxes, the journal and policies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from autocreate.admin.audit import Audit, Discrepancy
from autocreate.admin.components import Components
from autocreate.admin.selection import Selection
from autocreate.admin.survey import Survey
from autocreate.core.policy import Policy
from autocreate.errors import ConfigurationError, Temporary
from autocreate.service.journal import Entry
from autocreate.tree.values import Folder, Quota, Tree
from tests.unit.admin.site import INBOX, NOBODY, components, fail_for
from tests.unit.house import EVERYONE, TREE, House


@contextmanager
def auditing(
    site: Components,
    selection: Selection = Selection(),  # noqa: B008 -- a frozen value
    restore: bool = False,
) -> Iterator[Audit]:
    with Survey() as survey:
        yield Audit(site, survey, selection, restore)


def found(audit: Audit) -> list[Discrepancy]:
    """Everything that an audit with trees finds."""
    return [*audit.users(), *(it for differences in audit.trees() for it in differences)]


def test_where_everything_fits_it_finds_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"ann": (), "joe": ()})
    house.store.trees = {"ann": TREE, "joe": TREE}
    with auditing(components(house)) as audit:
        assert found(audit) == []
        assert (audit.accounts, audit.mailboxes, audit.count_trees()) == (2, 2, 2)


def test_accounts_without_a_mailbox_and_mailboxes_without_an_account_are_found(
    tmp_path: Path,
) -> None:
    house = House(tmp_path, accounts={"ann": (), "joe": ()})
    house.store.trees = {"joe": TREE, "zoe": TREE}
    with auditing(components(house)) as audit:
        assert found(audit) == [
            ("no-mailbox", "ann", "has an account and no mailbox"),
            ("no-account", "zoe", "has a mailbox, and no account source knows the user"),
        ]


def test_users_whom_a_policy_denies_a_mailbox_are_not_missed(tmp_path: Path) -> None:
    house = House(tmp_path, (NOBODY, EVERYONE), accounts={"guest": ("guests",), "cyrus": ()})
    with auditing(components(house)) as audit:
        assert found(audit) == []
        assert audit.accounts == 2


def test_of_a_part_of_the_accounts_the_mailboxes_of_the_others_are_no_finding(
    tmp_path: Path,
) -> None:
    house = House(tmp_path, accounts={"ann": ("tutors",), "joe": ()})
    house.store.trees = {"joe": TREE, "zoe": TREE}
    house.journal.begin(Entry("joe", "joe@example.org"))
    house.journal.begin(Entry("ann", "ann@example.org"))
    with auditing(components(house), Selection(groups=("tutors",))) as audit:
        assert [it[:2] for it in found(audit)] == [("no-mailbox", "ann"), ("unfinished", "ann")]


def test_unfinished_trees_are_found_with_their_error(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={})
    failed = Entry("ann", "ann@example.org", error="Cyrus was away")
    for entry in (failed, Entry("joe", "joe@example.org")):
        house.journal.begin(entry)
        house.journal.fail(entry)
    with auditing(components(house)) as audit:
        assert found(audit) == [
            ("unfinished", "ann", "Cyrus was away"),
            ("unfinished", "joe", "the first attempt was interrupted, or is still running"),
        ]


def test_trees_and_quotas_that_differ_from_their_policy_are_found(tmp_path: Path) -> None:
    policy = Policy("everyone", Tree(TREE.folders, Quota(2048)))
    house = House(tmp_path, (policy,), accounts={"joe": ()})
    house.store.trees = {"joe": Tree(INBOX.folders, Quota(1024))}
    with auditing(components(house)) as audit:
        assert found(audit) == [
            ("quota", "joe", "policy everyone: set quota 2048 KiB"),
            ("tree", "joe", "policy everyone: create Sent"),
        ]
    assert house.store.trees == {"joe": Tree(INBOX.folders, Quota(1024))}


def test_what_a_user_has_removed_is_found_only_where_that_is_asked_for(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    site = components(house)
    house.service.provision(site.accounts.address("joe", Selection()), is_user=True)
    house.store.trees["joe"] = INBOX
    with auditing(site) as audit:
        assert found(audit) == []
    with auditing(site, restore=True) as audit:
        assert found(audit) == [("tree", "joe", "policy everyone: create Sent")]


def test_a_failed_lookup_is_a_finding_and_stops_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"ann": ("tutors",), "joe": ("tutors",)})
    house.store.trees = {"ann": INBOX, "joe": TREE}
    fail_for(house.accounts, "joe")
    away = "accounts.staff: the database is away"
    with auditing(components(house), Selection(groups=("tutors",))) as audit:
        assert found(audit) == [
            ("unclear", "joe", away),
            ("tree", "ann", "policy everyone: create Sent"),
        ]
    with auditing(components(house)) as audit:
        assert sorted(found(audit)) == [
            ("tree", "ann", "policy everyone: create Sent"),
            ("unclear", "joe", away),
        ]


def test_a_user_who_is_listed_and_not_found_is_a_finding(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    house.store.trees = {"joe": TREE}
    house.accounts.lookup = lambda user: None  # type: ignore[method-assign]
    with auditing(components(house)) as audit:
        ((kind, user, detail),) = found(audit)
    assert (kind, user) == ("unclear", "joe")
    assert "refused (550)" in detail


def test_a_comparison_that_is_stopped_looks_at_no_more_trees(tmp_path: Path) -> None:
    users = [f"user{number:02}" for number in range(40)]
    house = House(tmp_path, accounts=dict.fromkeys(users, ()))
    house.store.trees = dict.fromkeys(users, INBOX)
    observed: list[str] = []
    observe = house.store.observe

    def observing(user: str, wanted: Tree) -> Tree:
        observed.append(user)
        return observe(user, wanted)

    house.store.observe = observing  # type: ignore[method-assign]
    with auditing(components(house)) as audit, closing(audit.trees()) as trees:
        next(trees)
    assert len(observed) <= 5


def test_policies_that_depend_on_the_domain_need_one(tmp_path: Path) -> None:
    policy = Policy("other", Tree((Folder(),)), domains=frozenset(["other.test"]))
    house = House(tmp_path, (policy, EVERYONE), domains=("example.org", "other.test"))
    site = components(house, domains=("example.org", "other.test"))
    with pytest.raises(ConfigurationError, match="name the domain"), auditing(site):
        pass
    with auditing(site, Selection(domain="other.test")) as audit:
        assert found(audit) == []


def test_a_domain_that_is_not_ours_is_an_error(tmp_path: Path) -> None:
    site = components(House(tmp_path))
    with (
        pytest.raises(ConfigurationError, match=r"--domain: else\.test is not in milter\.domains"),
        auditing(site, Selection(domain="else.test")),
    ):
        pass


def test_a_mail_store_that_cannot_list_its_users_is_an_error(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    house.store.failure = Temporary("Cyrus is away")
    with pytest.raises(Temporary, match="Cyrus is away"), auditing(components(house)):
        pass
