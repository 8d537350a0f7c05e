"""What the watch keeps, and what dry run does not."""

from __future__ import annotations

from autocreate.watch.records import Records, Stopped, Unwritten
from tests.unit.clock import Clock
from tests.unit.watch.fakes import Texts

STOPPED = Stopped(1.0, 600, "600 are too many")


def test_a_stop_lasts_until_it_is_resumed(clock: Clock) -> None:
    records = Records(Texts(), clock)
    assert records.stopped() is None
    records.stop(STOPPED)
    assert records.stopped() == STOPPED
    records.resume()
    assert records.stopped() is None


def test_what_was_created_counts_for_an_hour(clock: Clock) -> None:
    records = Records(Texts(), clock)
    records.count_created(3)
    clock.now += 1800
    records.count_created(4)
    assert records.created_lately() == 7
    clock.now += 1801
    assert records.created_lately() == 4


def test_what_was_created_before_a_review_counts_no_more(clock: Clock) -> None:
    records = Records(Texts(), clock)
    records.count_created(3)
    records.resume()
    assert records.created_lately() == 0


def test_what_is_kept_of_an_hour_does_not_grow_with_the_rounds(clock: Clock) -> None:
    texts = Texts()
    records = Records(texts, clock)
    for _ in range(3600):
        records.count_created(1)
        clock.now += 1
    assert 3500 <= records.created_lately() <= 3600
    assert len(texts.kept["created"]) < 2500


def test_dry_run_reads_what_others_wrote_and_writes_nothing(clock: Clock) -> None:
    texts = Texts()
    Records(texts, clock).keep_mark("staff", "before")
    dry = Records(Unwritten(texts), clock)
    assert dry.mark("staff") == "before"
    dry.keep_mark("staff", "after")
    dry.stop(STOPPED)
    assert (dry.mark("staff"), dry.stopped()) == ("after", STOPPED)
    dry.resume()
    assert dry.stopped() is None
    assert texts.kept == {"mark:staff": "before"}
