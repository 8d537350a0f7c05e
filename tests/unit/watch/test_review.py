"""`autocreate watch --plan` and `--resume`: what was shown is done, and nothing else."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from autocreate.admin.outcomes import State
from autocreate.admin.plans import Changed
from autocreate.errors import Temporary
from autocreate.watch.records import Records, Stopped
from autocreate.watch.review import Review
from autocreate.watch.rounds import AtMost
from autocreate.watch.watcher import Watched
from tests.unit.admin.site import components, states
from tests.unit.house import House
from tests.unit.watch.fakes import Source, away


def watched_of(house: House, source: Source) -> Watched:
    return Watched(components(house), [source], {}, 60.0, 60.0, AtMost(1, 10), house.service.close)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, accounts={"joe": (), "kim": ()})


@pytest.fixture
def source(house: House) -> Source:
    made = Source()
    made.found = lambda: list(house.accounts.users)
    return made


def test_plans_are_shown_and_nothing_is_changed(house: House, source: Source) -> None:
    with closing(Review(watched_of(house, source))) as review:
        assert states(review.compare()) == {"joe": State.PLANNED, "kim": State.PLANNED}
        assert len(review.checksum) == 12
    assert house.store.trees == {}
    assert house.journal.watch.get("mark:staff") is None


def test_what_was_shown_is_carried_out_and_the_watch_goes_on(house: House, source: Source) -> None:
    records = Records(house.journal.watch)
    records.stop(Stopped(1.0, 2, "too many"))
    with closing(Review(watched_of(house, source))) as review:
        states(review.compare())
        checksum = review.checksum
    with closing(Review(watched_of(house, source))) as review:
        states(review.compare())
        run = review.apply(checksum)
        assert run
        assert states(run) == {"joe": State.CREATED, "kim": State.CREATED}
        review.conclude()
    assert records.stopped() is None
    assert records.mark("staff") == "2"
    assert records.created_lately() == 0


def test_other_plans_than_those_that_were_shown_are_not_carried_out(
    house: House, source: Source
) -> None:
    with closing(Review(watched_of(house, source))) as review:
        states(review.compare())
        checksum = review.checksum
    house.accounts.users["ann"] = frozenset()
    with closing(Review(watched_of(house, source))) as review:
        states(review.compare())
        with pytest.raises(Changed):
            review.apply(checksum)
    assert house.store.trees == {}


def test_a_review_without_a_source_would_be_wrong(house: House, source: Source) -> None:
    source.found = away
    with (
        closing(Review(watched_of(house, source))) as review,
        pytest.raises(Temporary, match=r"accounts\.staff: the database is away"),
    ):
        review.compare()


def test_the_watch_can_go_on_where_no_plan_is_left(house: House, source: Source) -> None:
    source.found = list
    with closing(Review(watched_of(house, source))) as review:
        assert states(review.compare()) == {}
        run = review.apply(review.checksum)
        assert run
        assert states(run) == {}


def test_dry_run_carries_nothing_out(tmp_path: Path) -> None:
    house = House(tmp_path, accounts={"joe": ()}, dry_run=True)
    source = Source()
    source.found = lambda: ["joe"]
    with closing(Review(watched_of(house, source))) as review:
        states(review.compare())
        assert review.apply(review.checksum) is None
    assert house.store.trees == {}
