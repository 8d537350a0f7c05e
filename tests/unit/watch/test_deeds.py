"""A round: who is new gets a mailbox; too many stop it; and nobody is forgotten, whatever fails."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

import pytest

from autocreate.core.policy import Policy
from autocreate.errors import Temporary
from autocreate.service.creation_limit import CreationLimit
from autocreate.tree.values import Folder, Tree
from autocreate.watch import rounds
from autocreate.watch.deeds import Deeds
from autocreate.watch.figures import Figures
from autocreate.watch.records import Records
from autocreate.watch.rounds import AtMost, Round
from tests.unit.admin.site import INBOX, NOBODY, components, fail_for
from tests.unit.clock import Clock
from tests.unit.house import EVERYONE, House
from tests.unit.watch.fakes import Source, Texts, away

AMPLE = AtMost(100, 100)
HOUR = 3600.0


class Watch:
    """Rounds over the memory of a house."""

    def __init__(self, house: House, *sources: Source, at_most: AtMost = AMPLE) -> None:
        self.house = house
        self.sources = sources
        self.at_most = at_most
        self.texts = Texts()
        self.clock = Clock()
        self.records = Records(self.texts)
        self.figures = Figures()
        self.worked_on: list[str] = []
        self.goes_on = True
        self.deeds = Deeds(self.figures, self.worked_on.append, lambda: self.goes_on, self.clock)

    def round(self, *reported: str) -> bool:
        """Was everybody dealt with?"""
        parts = components(self.house)
        with closing(Round(parts, self.sources, self.records)) as round_:
            round_.add(reported)
            round_.look()
            self.errors = round_.looked.errors
            is_settled = self.deeds.deal_with(round_, parts, self.records, self.at_most)
            if is_settled:
                round_.keep_marks()
            self.figures.round_over(round_, 0.0)
        return is_settled

    @property
    def mark(self) -> str | None:
        return self.texts.kept.get("mark:staff")


def watch_of(
    folder: Path,
    *users: str,
    at_most: AtMost = AMPLE,
    dry_run: bool = False,
    policies: tuple[Policy, ...] = (EVERYONE,),
    limit: CreationLimit | None = None,
) -> tuple[Watch, Source]:
    house = House(
        folder,
        policies,
        accounts=dict.fromkeys(users, ()),
        dry_run=dry_run,
        limit=limit or CreationLimit(),
    )
    source = Source()
    source.found = lambda: list(house.accounts.users)
    return Watch(house, source, at_most=at_most), source


def test_a_new_account_gets_its_tree_and_the_source_is_asked_from_there_on(tmp_path: Path) -> None:
    watch, source = watch_of(tmp_path, "joe")
    assert watch.round()
    assert [it.path for it in watch.house.store.trees["joe"].folders] == [(), ("Sent",)]
    assert watch.worked_on == ["joe"]
    assert watch.mark == "1"
    assert watch.round()
    assert source.asked == [(None, False), ("1", False)]


def test_what_was_found_before_costs_neither_a_lookup_nor_a_command(tmp_path: Path) -> None:
    watch, _ = watch_of(tmp_path, "joe")
    watch.round()
    asked = len(watch.house.accounts.questions)
    watch.house.store.exists = None  # type: ignore[method-assign, assignment]
    assert watch.round()
    assert len(watch.house.accounts.questions) == asked


def test_an_account_that_is_reported_is_dealt_with_as_one_that_was_found(tmp_path: Path) -> None:
    watch, source = watch_of(tmp_path, "joe")
    source.found = lambda: ()
    assert watch.round("Joe")
    assert list(watch.house.store.trees) == ["joe"]


def test_whoever_is_found_and_has_no_account_gets_nothing(tmp_path: Path) -> None:
    watch, source = watch_of(tmp_path)
    source.found = lambda: ["gone"]
    assert watch.round()
    assert watch.house.store.trees == {}
    assert watch.mark == "1"


def test_whoever_is_to_have_no_mailbox_gets_none_and_is_not_counted(tmp_path: Path) -> None:
    watch, _ = watch_of(tmp_path, "ann", "joe", at_most=AtMost(1, 100), policies=(NOBODY, EVERYONE))
    watch.house.accounts.users["ann"] = frozenset(["guests"])
    assert watch.round()
    assert list(watch.house.store.trees) == ["joe"]


def test_folders_that_a_user_removed_do_not_come_back(tmp_path: Path) -> None:
    watch, _ = watch_of(tmp_path, "joe")
    watch.house.store.trees["joe"] = INBOX
    assert watch.round()
    assert watch.house.store.trees["joe"] == INBOX


@pytest.mark.parametrize("few", [0, 100], ids=["with one LIST", "one by one"])
def test_more_than_the_count_stop_the_watch_and_none_is_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(rounds, "_FEW", few)
    watch, _ = watch_of(tmp_path, *(f"u{number}" for number in range(9)), at_most=AtMost(3, 100))
    assert not watch.round()
    assert watch.house.store.trees == {}
    stopped = watch.records.stopped()
    assert stopped
    assert "watch.at_most.count" in stopped.why
    assert watch.mark is None


def test_what_was_created_within_an_hour_counts_as_well(tmp_path: Path) -> None:
    watch, source = watch_of(tmp_path, "u1", "u2", "u3", at_most=AtMost(3, 100))
    source.found = lambda: ["u1", "u2"]
    assert watch.round()
    watch.house.accounts.users |= {"u4": frozenset()}
    source.found = lambda: ["u3", "u4"]
    assert not watch.round()
    assert sorted(watch.house.store.trees) == ["u1", "u2"]


def test_a_share_of_all_mailboxes_stops_it_but_ten_never_do(tmp_path: Path) -> None:
    users = [f"u{number:02}" for number in range(11)]
    watch, source = watch_of(tmp_path, *users, at_most=AtMost(100, 20))
    for number in range(50):
        watch.house.store.trees[f"old{number}"] = INBOX
    source.found = lambda: users[:10]
    assert watch.round()
    for user in users[:10]:
        del watch.house.store.trees[user]
    watch.house.mailboxes.clear()
    source.found = lambda: users
    assert not watch.round()
    stopped = watch.records.stopped()
    assert stopped
    assert "11 new mailboxes beside 50 are more than watch.at_most.percent" in stopped.why


def test_many_that_have_their_mailboxes_are_compared_with_one_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "_FEW", 5)
    users = [f"u{number:02}" for number in range(20)]
    watch, _ = watch_of(tmp_path, *users)
    for user in users[1:]:
        watch.house.store.trees[user] = INBOX
    asked: list[str] = []
    exists = watch.house.store.exists
    watch.house.store.exists = (  # type: ignore[method-assign]
        lambda user: asked.append(user) or exists(user)  # type: ignore[func-returns-value]
    )
    assert watch.round()
    assert set(asked) == {"u00"}
    assert set(watch.house.store.trees) == set(users)


def test_a_source_that_breaks_off_keeps_its_mark_and_not_the_others_waiting(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": (), "kim": ()})
    broken, whole = Source("staff"), Source("others")
    broken.found, whole.found = away, lambda: ["kim"]
    watch = Watch(house, broken, whole)
    assert watch.round()
    assert watch.errors == {"staff": "the database is away", "others": ""}
    assert list(house.store.trees) == ["kim"]
    assert watch.texts.kept.keys() >= {"mark:others"}
    assert watch.mark is None


def test_cyrus_being_away_forgets_nobody(tmp_path: Path) -> None:
    watch, _ = watch_of(tmp_path, "joe")
    exists = watch.house.store.exists

    def gone(user: str) -> bool:
        raise Temporary("Cyrus is away")

    watch.house.store.exists = gone  # type: ignore[method-assign]
    assert not watch.round()
    assert watch.mark is None
    watch.house.store.exists = exists  # type: ignore[method-assign]
    assert watch.round()
    assert list(watch.house.store.trees) == ["joe"]


def test_one_who_cannot_be_looked_up_for_an_hour_is_left_to_the_journal(tmp_path: Path) -> None:
    watch, _ = watch_of(tmp_path, "joe", "kim")
    fail_for(watch.house.accounts, "joe")
    assert not watch.round()
    assert list(watch.house.store.trees) == ["kim"]
    watch.clock.now += HOUR
    assert watch.round()
    assert watch.mark == "2"
    (entry,) = watch.house.journal.all_unfinished()
    assert (entry.user, entry.begun) == ("joe", False)


def test_a_mailbox_that_could_not_be_created_is_left_to_the_journal(tmp_path: Path) -> None:
    watch, _ = watch_of(tmp_path, "joe")

    def apply(plan: object) -> object:
        raise Temporary("disk full")

    watch.house.store.apply = apply  # type: ignore[method-assign, assignment]
    assert watch.round()
    assert [entry.user for entry in watch.house.journal.all_unfinished()] == ["joe"]


def test_a_mailbox_that_failed_and_could_not_be_noted_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, _ = watch_of(tmp_path, "joe")

    def fail(*_: object) -> None:
        raise Temporary("away")

    monkeypatch.setattr(watch.house.journal, "begin", fail)
    with pytest.raises(Temporary):
        watch.round()
    assert watch.mark is None
    monkeypatch.undo()
    assert watch.round()
    assert list(watch.house.store.trees) == ["joe"]


def test_a_limit_ends_the_round_and_the_next_one_goes_on(tmp_path: Path) -> None:
    clock = Clock()
    watch, _ = watch_of(tmp_path, "joe", "kim", limit=CreationLimit(1, clock=clock))
    assert not watch.round()
    assert len(watch.house.store.trees) == 1
    assert watch.mark is None
    assert list(watch.house.journal.all_unfinished()) == []
    clock.now += 120
    assert watch.round()
    assert sorted(watch.house.store.trees) == ["joe", "kim"]


def test_the_end_of_the_process_ends_the_round_and_keeps_no_mark(tmp_path: Path) -> None:
    watch, _ = watch_of(tmp_path, "joe")
    watch.goes_on = False
    assert not watch.round()
    assert (watch.house.store.trees, watch.mark) == ({}, None)


def test_dry_run_says_each_user_once_and_creates_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    watch, _ = watch_of(tmp_path, "joe", dry_run=True)
    for _ in range(2):
        watch.round()
    assert caplog.text.count("watch: dry run: joe: would be created, by policy 'everyone'") == 1
    assert watch.house.store.trees == {}
    assert [row["recipient"] for row in watch.house.journal.seen()] == ["joe"]


def test_dry_run_says_that_it_would_stop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    users = [f"u{number}" for number in range(5)]
    watch, _ = watch_of(tmp_path, *users, at_most=AtMost(3, 100), dry_run=True)
    watch.round()
    assert "watch: dry run: would stop: 5 or more new mailboxes" in caplog.text
    assert watch.records.stopped() is None


def test_mailboxes_without_an_account_are_only_counted(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()})
    house.store.trees |= {"joe": INBOX, "gone": Tree((Folder(),))}
    source = Source(is_list=True)
    source.found = lambda: ["joe", *(f"u{number}" for number in range(200))]
    watch = Watch(house, source)
    watch.round()
    assert watch.figures.snapshot(True)["without_account"] == 1
    assert sorted(house.store.trees) == ["gone", "joe"]
