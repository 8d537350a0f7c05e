"""`provision` of many users: only with yes, never an absurd number, and again after an interruption."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from autocreate.admin.bulk import Run
from autocreate.admin.components import Components
from autocreate.admin.outcomes import State
from autocreate.admin.provision import TooMany, provision, require_plausible
from autocreate.admin.selection import Selection
from autocreate.admin.survey import Survey
from autocreate.core.policy import Policy
from autocreate.errors import Temporary
from autocreate.model import Address, Answer, Verdict
from autocreate.service.journal import Entry
from autocreate.tree.actions import CreateMailbox
from autocreate.tree.values import Folder, Tree
from tests.unit.admin.site import INBOX, NOBODY, components, fail_for, states
from tests.unit.house import EVERYONE, TREE, House

ALL = Selection()


@contextmanager
def provisioning(
    site: Components, selection: Selection = ALL, yes: bool = True, max_new: int = 100
) -> Iterator[Run]:
    with Survey() as survey:
        yield provision(site, survey, selection, yes, max_new)


def test_without_yes_it_only_plans(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"ann": (), "joe": ()})
    with provisioning(components(house), yes=False) as run:
        assert states(run) == {"ann": State.PLANNED, "joe": State.PLANNED}
        assert (str(run.summary), run.summary.exit_status) == ("2 planned", 0)
        assert not run.is_applied
    assert house.store.trees == {}
    assert list(house.journal.all_unfinished()) == []


def test_with_yes_it_creates_and_finds_nothing_to_do_the_next_time(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"ann": (), "joe": ()})
    site = components(house)
    with provisioning(site) as run:
        assert states(run) == {"ann": State.CREATED, "joe": State.CREATED}
        assert (run.accounts, run.total, run.done) == (2, 2, 2)
        assert run.is_applied
    assert {user: tree.folders for user, tree in house.store.trees.items()} == {
        "ann": house.store.observe("ann", TREE).folders,
        "joe": house.store.observe("joe", TREE).folders,
    }
    with provisioning(site) as again:
        assert (again.total, states(again), str(again.summary)) == (0, {}, "nothing to do")


def test_several_users_are_worked_on_at_once(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"ann": (), "joe": ()})
    together = threading.Barrier(2, timeout=10)
    exists = house.store.exists

    def exists_together(user: str) -> bool:
        together.wait()  # passes only if two are at work
        return exists(user)

    house.store.exists = exists_together  # type: ignore[method-assign]
    with provisioning(components(house)) as run:
        assert set(states(run).values()) == {State.CREATED}


def test_a_user_id_is_not_looked_up_as_an_alias(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    asked: list[tuple[Address, bool, bool]] = []

    def provision_user(address: Address, apply: bool = True, is_user: bool = False) -> Verdict:
        asked.append((address, apply, is_user))
        return Verdict(Answer.ACCEPT, "", "joe")

    monkeypatch.setattr(house.service, "provision", provision_user)
    with provisioning(components(house)) as run:
        states(run)
    assert asked == [(Address("joe", "example.org"), True, True)]


def test_in_dry_run_mode_yes_creates_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()}, dry_run=True)
    with provisioning(components(house)) as run:
        assert states(run) == {"joe": State.PLANNED}
        assert not run.is_applied
    assert house.store.trees == {}


def test_a_mailbox_that_exists_is_not_touched(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"ann": (), "joe": ()})
    house.store.trees["joe"] = INBOX  # joe has removed Sent
    with provisioning(components(house)) as run:
        assert states(run) == {"ann": State.CREATED}
    assert house.store.trees["joe"] == INBOX


def test_an_interrupted_run_is_continued_by_the_next(tmp_path: Path) -> None:
    users = [f"user{number:02}" for number in range(40)]
    house = House(tmp_path, accounts=dict.fromkeys(users, ()))
    site = components(house)
    with provisioning(site) as run:
        with closing(run.outcomes()) as outcomes:
            next(outcomes)
        assert run.done == 1
    created = set(house.store.trees)
    assert 1 <= len(created) < 10
    with provisioning(site) as rest:
        assert states(rest) == dict.fromkeys(set(users) - created, State.CREATED)
    assert set(house.store.trees) == set(users)
    assert list(house.journal.all_unfinished()) == []


def killed_in_the_middle(house: House, user: str) -> None:
    """A run created the INBOX of a user, and was killed before the rest."""
    house.journal.begin(Entry(user, f"{user}@example.org", next_try=0.0))
    house.store.trees[user] = INBOX


def test_a_tree_that_a_killed_run_left_unfinished_is_completed(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    killed_in_the_middle(house, "joe")
    with provisioning(components(house)) as run:
        assert run.total == 1
        assert states(run) == {"joe": State.COMPLETED}
    assert [it.path for it in house.store.trees["joe"].folders] == [(), ("Sent",)]
    assert list(house.journal.all_unfinished()) == []


def test_without_yes_an_unfinished_tree_is_only_planned(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    killed_in_the_middle(house, "joe")
    with provisioning(components(house), yes=False) as run:
        assert states(run) == {"joe": State.PLANNED}
    assert house.store.trees["joe"] == INBOX
    assert [it.user for it in house.journal.all_unfinished()] == ["joe"]


def test_an_unfinished_tree_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"ann": ("tutors",), "joe": ()})
    killed_in_the_middle(house, "joe")
    with provisioning(components(house), Selection(groups=("tutors",))) as run:
        assert states(run) == {"ann": State.CREATED}
    assert house.store.trees["joe"] == INBOX


def test_a_failed_lookup_counts_as_a_failure_and_stops_nobody_else(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"ann": ("tutors",), "joe": ("tutors",)})
    fail_for(house.accounts, "joe")
    with provisioning(components(house), Selection(groups=("tutors",))) as run:
        assert run.total == 2
        assert states(run) == {"ann": State.CREATED, "joe": State.FAILED}
        assert run.summary.exit_status == 75
        assert run.accounts == 1  # joe may not be among them


def test_a_user_whose_exemption_cannot_be_looked_up_is_not_skipped_silently(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"ann": (), "joe": ()})
    fail_for(house.accounts, "joe")
    with provisioning(components(house)) as run:
        assert states(run) == {"ann": State.CREATED, "joe": State.FAILED}


def test_users_whom_a_policy_denies_a_mailbox_are_counted_as_exempt(tmp_path: Path) -> None:
    guests = {f"guest{number}": ("guests",) for number in range(20)}
    house = House(tmp_path, (NOBODY, EVERYONE), accounts={"ann": (), **guests})
    with provisioning(components(house), max_new=5) as run:
        assert states(run) == {"ann": State.CREATED}
        assert str(run.summary) == "1 created, 20 exempt"
        assert (run.accounts, run.total) == (21, 1)


def test_the_administrator_is_exempt(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"cyrus": (), "joe": ()})
    with provisioning(components(house)) as run:
        assert states(run) == {"joe": State.CREATED}
        assert run.summary.counts[State.EXEMPT] == 1


def test_a_named_user_without_an_account_is_reported(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    with provisioning(components(house), Selection(users=("joe", "tpyo"))) as run:
        assert states(run) == {"joe": State.CREATED, "tpyo": State.NO_MAILBOX}
        assert run.summary.exit_status == 65


def test_a_tree_that_is_left_unfinished_is_no_success(tmp_path: Path) -> None:
    tree = Tree((Folder(), Folder(("Slow",), partition="nowhere")))
    house = House(tmp_path, (Policy("everyone", tree),), accounts={"joe": ()})
    with provisioning(components(house)) as run:
        (outcome,) = run.outcomes()
        assert outcome.state is State.UNFINISHED
        assert outcome.verdict.report is not None
        assert outcome.verdict.report.done == (CreateMailbox(()),)
        assert run.summary.exit_status == 75
    assert [it.user for it in house.journal.all_unfinished()] == ["joe"]


def test_a_mail_store_that_cannot_list_its_users_ends_it_before_it_begins(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    house.store.failure = Temporary("Cyrus is away")
    with pytest.raises(Temporary, match="Cyrus is away"), provisioning(components(house)):
        pass


def test_too_many_new_mailboxes_are_refused_with_yes_and_shown_without(tmp_path: Path) -> None:
    users = [f"user{number:02}" for number in range(11)]
    house = House(tmp_path, accounts=dict.fromkeys(users, ()))
    site = components(house)
    with (
        pytest.raises(TooMany, match="11 of 11 accounts have no mailbox") as refused,
        provisioning(site, max_new=30),
    ):
        pass
    assert refused.value.exit_status == 77
    assert house.store.trees == {}
    with provisioning(site, yes=False, max_new=30) as run:
        assert states(run) == dict.fromkeys(users, State.PLANNED)


@pytest.mark.parametrize(("new", "accounts"), [(31, 100), (11, 11), (5000, 5000)])
def test_an_absurd_share_of_new_mailboxes_is_refused(new: int, accounts: int) -> None:
    with pytest.raises(TooMany, match=f"{new:,} of {accounts:,} accounts have no mailbox"):
        require_plausible(new, accounts, max_new=30)


@pytest.mark.parametrize(
    ("new", "accounts", "max_new"), [(30, 100, 30), (10, 10, 30), (0, 0, 30), (5000, 5000, 100)]
)
def test_a_plausible_one_is_not(new: int, accounts: int, max_new: int) -> None:
    require_plausible(new, accounts, max_new)
