"""What a process counts: hour by hour, through a journal that is away, and through reloads."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from autocreate.errors import Temporary
from autocreate.model import Answer, Verdict
from autocreate.service.journal import Journal
from autocreate.statistics.recorder import Statistics
from autocreate.statistics.tally import Tally, VerdictKey
from tests.unit.clock import Clock

ACCEPTED = Verdict(Answer.ACCEPT, "INBOX exists", "joe", "staff")
KIND = VerdictKey("milter", "accept", "INBOX exists", "", "example.org")


class Rows:
    """What was written, by hour; `away` makes it impossible."""

    def __init__(self) -> None:
        self.rows: dict[int, Tally] = {}
        self.writes = 0
        self.away = False

    def __call__(self, hour: int, writer: str, tally: str) -> None:
        if self.away:
            raise Temporary("the journal is away")
        self.writes += 1
        self.rows[hour] = Tally.from_json(json.loads(tally))


def count(statistics: Statistics, times: int = 1) -> None:
    for _ in range(times):
        statistics.count("milter", ACCEPTED, 0.1, "<joe@example.org>", "192.0.2.1")


def test_each_hour_is_written_by_itself() -> None:
    clock, rows = Clock(7200.0), Rows()
    statistics = Statistics(clock)
    count(statistics, 2)
    clock.now = 10_800.0
    count(statistics, 3)
    statistics.save(rows)
    assert {hour: it.kinds[KIND] for hour, it in rows.rows.items()} == {7200: 2, 10_800: 3}


def test_an_hour_is_written_whole_each_time_and_only_if_it_has_changed() -> None:
    rows = Rows()
    statistics = Statistics(Clock())
    count(statistics)
    statistics.save(rows)
    statistics.save(rows)
    assert rows.writes == 1
    count(statistics)
    statistics.save(rows)
    assert [it.kinds[KIND] for it in rows.rows.values()] == [2]


def test_totals_go_on_through_the_hours() -> None:
    clock = Clock(0.0)
    statistics = Statistics(clock)
    for hour in range(5):
        clock.now = hour * 3600.0
        count(statistics)
        statistics.save(Rows())
    assert statistics.totals().kinds[KIND] == 5


def test_what_could_not_be_written_is_written_when_the_journal_is_back() -> None:
    clock, rows = Clock(7200.0), Rows()
    statistics = Statistics(clock)
    count(statistics)
    rows.away = True
    with pytest.raises(Temporary):
        statistics.save(rows)
    clock.now = 10_800.0
    rows.away = False
    statistics.save(rows)
    assert [it.kinds[KIND] for it in rows.rows.values()] == [1]


def test_a_journal_that_stays_away_costs_bounded_memory_and_no_totals() -> None:
    clock, rows = Clock(0.0), Rows()
    statistics = Statistics(clock)
    rows.away = True
    for hour in range(100):
        clock.now = hour * 3600.0
        count(statistics)
        with pytest.raises(Temporary):
            statistics.save(rows)
    rows.away = False
    statistics.save(rows)
    assert len(rows.rows) <= 50
    assert statistics.totals().kinds[KIND] == 100


def test_a_clock_that_is_put_back_does_not_begin_an_hour_anew() -> None:
    clock, rows = Clock(7200.0), Rows()
    statistics = Statistics(clock)
    count(statistics)
    statistics.save(rows)
    clock.now = 7199.0
    count(statistics)
    statistics.save(rows)
    assert {hour: it.kinds[KIND] for hour, it in rows.rows.items()} == {7200: 2}


def test_the_figures_of_a_source_are_the_same_ones_after_a_reload() -> None:
    statistics = Statistics()
    statistics.stats("accounts.staff").hit()
    statistics.stats("accounts.staff").hit()
    assert statistics.stats("accounts.staff").snapshot()["hits"] == 2


def test_nothing_is_lost_between_threads() -> None:
    rows = Rows()
    statistics = Statistics(Clock())
    threads = [threading.Thread(target=count, args=(statistics, 500)) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        statistics.save(rows)
    statistics.save(rows)
    assert [it.kinds[KIND] for it in rows.rows.values()] == [2000]


def test_several_processes_add_up_in_one_journal(tmp_path: Path) -> None:
    journal = Journal(f"sqlite:///{tmp_path}/journal.db", Clock())
    for _ in range(2):
        statistics = Statistics(Clock(7200.0))
        count(statistics, 2)
        statistics.save(journal.tally)
        count(statistics)
        statistics.save(journal.tally)
    written = [Tally.from_text(it.tally) for it in journal.tallies(0)]
    assert [it.kinds[KIND] for it in written] == [3, 3]
    assert list(journal.tallies(10_800)) == []
