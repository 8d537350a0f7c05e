"""`apply`: plans are reviewed, then carried out exactly as they were, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from autocreate.admin.components import Components
from autocreate.admin.outcomes import State
from autocreate.admin.plans import Changed, Plans
from autocreate.admin.policy_update import PolicyUpdate
from autocreate.admin.selection import Selection
from autocreate.admin.survey import Survey
from autocreate.core.policy import Policy
from autocreate.errors import ConfigurationError
from autocreate.tree.actions import CreateMailbox
from autocreate.tree.values import Folder, Quota, Tree
from tests.unit.admin.site import INBOX, NOBODY, components, fail_for, states
from tests.unit.house import EVERYONE, TREE, House

ALL = Selection()


@contextmanager
def updating(
    site: Components,
    selection: Selection = ALL,
    policy: str = "everyone",
    restore: bool = False,
    reviewed: str = "",
) -> Iterator[PolicyUpdate]:
    with Survey() as survey, Plans() as plans:
        yield PolicyUpdate(site, survey, plans, selection, policy, restore, reviewed)


def review(site: Components, selection: Selection = ALL) -> str:
    """Compare only: the checksum of the plans."""
    with updating(site, selection) as update:
        compared = update.compare()
        states(compared)
        assert update.apply(compared.summary) is None
        return update.checksum


def carry_out(site: Components, reviewed: str, selection: Selection = ALL) -> dict[str, State]:
    """Carry out reviewed plans: what became of each user."""
    with updating(site, selection, reviewed=reviewed) as update:
        compared = update.compare()
        states(compared)
        applied = update.apply(compared.summary)
        assert applied is not None
        assert applied.is_applied
        return states(applied)


def with_inboxes(folder: Path, *users: str, **options: object) -> House:
    """Everyone has an INBOX; the policy also wants Sent."""
    house = House(folder, accounts=dict.fromkeys(users, ()), **options)  # type: ignore[arg-type]
    house.store.trees.update(dict.fromkeys(users, INBOX))
    return house


def test_without_a_checksum_it_only_compares(tmp_path: Path) -> None:
    house = with_inboxes(tmp_path, "ann", "joe")
    house.store.trees["ann"] = TREE
    with updating(components(house)) as update:
        compared = update.compare()
        assert states(compared) == {"ann": State.UP_TO_DATE, "joe": State.PLANNED}
        assert not update.is_applied
        assert not compared.is_applied
        assert update.apply(compared.summary) is None
        assert len(update.checksum) == 12
    assert house.store.trees["joe"] == INBOX
    assert list(house.journal.all_unfinished()) == []


def test_with_the_checksum_the_reviewed_plans_are_carried_out(tmp_path: Path) -> None:
    house = with_inboxes(tmp_path, "ann", "joe")
    site = components(house)
    done = carry_out(site, review(site))
    assert done == {"ann": State.COMPLETED, "joe": State.COMPLETED}
    assert {len(tree.folders) for tree in house.store.trees.values()} == {2}
    assert list(house.journal.all_unfinished()) == []


def test_nothing_to_carry_out_has_no_checksum(tmp_path: Path) -> None:
    house = with_inboxes(tmp_path, "joe")
    house.store.trees["joe"] = TREE
    assert review(components(house)) == ""


def test_plans_that_have_changed_since_the_review_are_not_carried_out(tmp_path: Path) -> None:
    house = with_inboxes(tmp_path, "ann", "joe")
    site = components(house)
    reviewed = review(site)
    house.store.trees["ann"] = TREE  # ann has done it herself meanwhile
    with updating(site, reviewed=reviewed) as update:
        compared = update.compare()
        states(compared)
        with pytest.raises(Changed, match="nothing was done") as refused:
            update.apply(compared.summary)
    assert refused.value.exit_status == 65
    assert house.store.trees["joe"] == INBOX


def test_in_dry_run_mode_the_checksum_carries_out_nothing(tmp_path: Path) -> None:
    house = with_inboxes(tmp_path, "joe", dry_run=True)
    site = components(house)
    with updating(site, reviewed=review(site)) as update:
        compared = update.compare()
        assert states(compared) == {"joe": State.PLANNED}
        assert update.apply(compared.summary) is None
        assert update.checksum == ""  # it was given already
    assert house.store.trees["joe"] == INBOX


def test_an_interrupted_run_is_continued_after_another_review(tmp_path: Path) -> None:
    users = [f"user{number:02}" for number in range(40)]
    house = with_inboxes(tmp_path, *users)
    site = components(house)
    reviewed = review(site)
    with updating(site, reviewed=reviewed) as update:
        compared = update.compare()
        states(compared)
        applied = update.apply(compared.summary)
        assert applied is not None
        with closing(applied.outcomes()) as outcomes:
            next(outcomes)
    done = {user for user, tree in house.store.trees.items() if tree != INBOX}
    assert 1 <= len(done) < 10

    rest = review(site)
    assert rest != reviewed
    assert carry_out(site, rest) == dict.fromkeys(set(users) - done, State.COMPLETED)
    assert INBOX not in house.store.trees.values()


def test_a_problem_of_the_review_counts_when_its_plans_are_carried_out(tmp_path: Path) -> None:
    house = with_inboxes(tmp_path, "ann", "joe")
    fail_for(house.accounts, "joe")
    site = components(house)
    with updating(site, reviewed=review(site)) as update:
        compared = update.compare()
        assert states(compared) == {"ann": State.PLANNED, "joe": State.FAILED}
        applied = update.apply(compared.summary)
        assert applied is not None
        assert states(applied) == {"ann": State.COMPLETED}
        assert str(applied.summary) == "1 completed, 1 failed"
        assert applied.summary.exit_status == 75
        assert applied.accounts == 1


def test_a_user_whose_groups_cannot_be_looked_up_is_reported(tmp_path: Path) -> None:
    house = with_inboxes(tmp_path, "ann", "joe")
    house.accounts.users |= {user: frozenset(["tutors"]) for user in ("ann", "joe")}
    fail_for(house.accounts, "joe")
    with updating(components(house), Selection(groups=("tutors",))) as update:
        compared = update.compare()
        assert compared.total == 2
        assert states(compared) == {"ann": State.PLANNED, "joe": State.FAILED}
        assert compared.summary.exit_status == 75


def test_users_of_another_policy_are_left_out(tmp_path: Path) -> None:
    tutors = Policy("tutors", TREE, groups=frozenset(["tutors"]))
    house = with_inboxes(tmp_path, "ann", "joe", policies=(tutors, EVERYONE))
    house.accounts.users["ann"] = frozenset(["tutors"])
    with updating(components(house), policy="tutors") as update:
        assert states(update.compare()) == {"ann": State.PLANNED}
    with updating(components(house)) as update:
        assert states(update.compare()) == {"joe": State.PLANNED}


def test_a_policy_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    house = with_inboxes(tmp_path, "joe")
    with (
        pytest.raises(ConfigurationError, match="there is no policy 'everybody'"),
        updating(components(house), policy="everybody"),
    ):
        pass


def test_of_a_list_only_those_with_a_mailbox_are_compared_and_the_others_counted(
    tmp_path: Path,
) -> None:
    house = with_inboxes(tmp_path, "joe")
    house.accounts.users["ann"] = frozenset()
    with updating(components(house)) as update:
        compared = update.compare()
        assert compared.total == 1
        assert states(compared) == {"joe": State.PLANNED}
        assert str(compared.summary) == "1 planned, 1 without a mailbox"
        assert compared.accounts == 2


def test_users_who_are_named_are_all_reported(tmp_path: Path) -> None:
    house = with_inboxes(tmp_path, "joe")
    house.accounts.users["ann"] = frozenset()
    with updating(components(house), Selection(users=("ann", "joe", "tpyo"))) as update:
        compared = update.compare()
        assert compared.total == 3
        assert states(compared) == {
            "ann": State.SKIPPED,
            "joe": State.PLANNED,
            "tpyo": State.NO_MAILBOX,
        }
        assert compared.summary.exit_status == 65


def test_users_whom_a_policy_denies_a_mailbox_are_skipped(tmp_path: Path) -> None:
    house = with_inboxes(tmp_path, "guest", "joe", policies=(NOBODY, EVERYONE))
    house.accounts.users["guest"] = frozenset(["guests"])
    with updating(components(house)) as update:
        assert states(update.compare()) == {"guest": State.SKIPPED, "joe": State.PLANNED}


def test_what_a_user_has_removed_comes_back_only_where_that_is_asked_for(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    site = components(house)
    carried_out = house.service.provision(site.accounts.address("joe", ALL), is_user=True)
    assert carried_out.created
    house.store.trees["joe"] = INBOX
    with updating(site) as update:
        assert states(update.compare()) == {"joe": State.UP_TO_DATE}
    with updating(site, restore=True) as update:
        (outcome,) = update.compare().outcomes()
    assert outcome.verdict.plan is not None
    assert outcome.verdict.plan.actions == (CreateMailbox(("Sent",)),)


def test_a_plan_that_cannot_be_carried_out_wholly_is_no_success(tmp_path: Path) -> None:
    tree = Tree((Folder(), Folder(("Slow",), partition="nowhere")))
    policy = replace(EVERYONE, tree=replace(tree, quota=Quota(1024)))
    house = with_inboxes(tmp_path, "joe", policies=(policy,))
    site = components(house)
    assert carry_out(site, review(site)) == {"joe": State.UNFINISHED}
    assert house.store.trees["joe"].quota.storage == 1024
    assert [it.user for it in house.journal.all_unfinished()] == ["joe"]
