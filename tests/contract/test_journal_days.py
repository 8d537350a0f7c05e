"""Hours of the journal become days, each once, whoever adds them up, reads them, or is killed meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest
import sqlalchemy as sa

from autocreate.model import Answer, Verdict
from autocreate.service import journal_hours
from autocreate.service.journal import Journal
from autocreate.service.journal_hours import DAY, HOUR, HOURLY_DAYS
from autocreate.service.journal_tables import HOURS
from autocreate.statistics.tally import Tally
from tests.unit.clock import Clock

from .journals import SERVERS, new_journal

# They write thousands of times, and are not about time limits.
pytestmark = pytest.mark.usefixtures("patient_journals")

TODAY = 20_000 * DAY
NOW = TODAY + 12 * HOUR
PROCESSES = ("mx1:1:aa", "mx1:2:bb", "mx2:1:cc")

# Stops where the day is written and its hours are not deleted yet.
FOLDER = """
import sys
import sqlalchemy as sa
from autocreate.service.journal import Journal
journal = Journal(sys.argv[1], lambda: float(sys.argv[2]))
def stop(connection, cursor, statement, *_):
    if statement.startswith("DELETE"):
        print("between", flush=True)
        sys.stdin.read()
sa.event.listen(journal._database._engine, "before_cursor_execute", stop)
journal.tally(int(sys.argv[2]), "mx3:1:dd", "{}")
"""


@pytest.fixture(params=("sqlite", *SERVERS))
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with new_journal(request.param) as made:
        yield made


@pytest.fixture
def open_journal(url: str) -> Iterator[Callable[..., Journal]]:
    """Opens the journal once more; its clock shows NOW."""
    with ExitStack() as stack:
        yield lambda now=float(NOW): stack.enter_context(closing(Journal(url, Clock(now))))


@pytest.fixture
def journal(open_journal: Callable[..., Journal]) -> Journal:
    return open_journal()


def test_older_hours_become_days_and_nothing_else_changes(
    journal: Journal, open_journal: Callable[..., Journal]
) -> None:
    counted = fill(open_journal(0.0), days=HOURLY_DAYS + 3)
    assert by_day(journal) == counted
    add_up(journal)
    assert by_day(journal) == counted
    kept = [(it.begins, it.seconds) for it in journal.tallies(0)]
    days = [TODAY - ago * DAY for ago in (HOURLY_DAYS + 2, HOURLY_DAYS + 1, HOURLY_DAYS)]
    assert kept[:3] == [(day, DAY) for day in days]
    assert {seconds for _, seconds in kept[3:]} == {HOUR}
    assert kept[3][0] // DAY * DAY == TODAY - (HOURLY_DAYS - 1) * DAY


def test_several_processes_that_add_up_at_once_count_nothing_twice(
    journal: Journal, open_journal: Callable[..., Journal], caplog: pytest.LogCaptureFixture
) -> None:
    counted = fill(open_journal(0.0), days=HOURLY_DAYS + 6)
    others = [open_journal() for _ in range(4)]
    start = threading.Barrier(len(others))

    def fold(it: Journal) -> None:
        start.wait(30)
        add_up(it)

    with ThreadPoolExecutor(len(others)) as threads:
        list(threads.map(fold, others))
    assert by_day(journal) == counted
    assert len([it for it in journal.tallies(0) if it.seconds == DAY]) == 6
    assert not caplog.records


def test_who_reads_meanwhile_sees_everything_once(
    journal: Journal, open_journal: Callable[..., Journal]
) -> None:
    counted = fill(open_journal(0.0), days=HOURLY_DAYS + 6)
    with ThreadPoolExecutor(1) as other:
        adding_up = other.submit(add_up, open_journal())
        while not adding_up.done():
            assert by_day(journal) == counted
        adding_up.result()


def test_a_process_that_is_killed_in_the_middle_changes_nothing(
    url: str, journal: Journal, open_journal: Callable[..., Journal]
) -> None:
    counted = fill(open_journal(0.0), days=HOURLY_DAYS + 2)
    command = [sys.executable, "-c", FOLDER, url, str(TODAY)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"between\n"
        assert by_day(journal) == counted
        process.kill()
    assert by_day(journal) == counted
    delete(journal, "mx3:1:dd")
    add_up(journal)
    assert by_day(journal) == counted
    assert [it.seconds for it in journal.tallies(0)][:3] == [DAY, DAY, HOUR]


def test_what_comes_after_its_day_was_added_up_does_not_count(
    journal: Journal, open_journal: Callable[..., Journal], caplog: pytest.LogCaptureFixture
) -> None:
    """It may be an hour that the process wrote before, with some counts more."""
    counted = fill(open_journal(0.0), days=HOURLY_DAYS + 1)
    add_up(journal)
    assert not caplog.records
    late = (TODAY - HOURLY_DAYS * DAY, PROCESSES[0], tally(9).as_text())
    open_journal(0.0).tally(*late)
    assert by_day(journal) == counted
    assert rows(journal)[late[:2]] == late[2]
    add_up(journal)
    assert by_day(journal) == counted
    assert late[:2] not in rows(journal)
    assert f"came after the day was added up, and do not count: hours of {late[1]}" in caplog.text


def test_a_day_with_rows_that_a_later_version_wrote_is_left_to_it(
    journal: Journal, open_journal: Callable[..., Journal]
) -> None:
    filled = open_journal(0.0)
    fill(filled, days=HOURLY_DAYS + 3)
    later = (TODAY - (HOURLY_DAYS + 1) * DAY + 5 * HOUR, "mx9:1:ff", '{"version": 2}')
    filled.tally(*later)
    add_up(journal)
    kept = [(it.begins // DAY * DAY, it.seconds) for it in journal.tallies(0)]
    assert [seconds for day, seconds in kept if day == later[0] // DAY * DAY] == [HOUR] * 7
    assert [seconds for _, seconds in kept].count(DAY) == 2
    assert rows(journal)[later[:2]] == later[2]


def test_the_first_days_are_forgotten(
    journal: Journal, open_journal: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_hours, "DAYS_LIMIT", 3)
    fill(open_journal(0.0), days=HOURLY_DAYS + 5)
    assert journal.tallies_begin() == TODAY - (HOURLY_DAYS + 4) * DAY + HOUR
    add_up(journal)
    assert journal.tallies_begin() == TODAY - (HOURLY_DAYS + 2) * DAY
    assert len([it for it in journal.tallies(0) if it.seconds == DAY]) == 3


def test_a_program_that_knows_no_days_counts_them_right(
    journal: Journal, open_journal: Callable[..., Journal]
) -> None:
    """All that an earlier version reads is `hour` and `tally`, and it makes days of them itself."""
    counted = fill(open_journal(0.0), days=HOURLY_DAYS + 3)
    add_up(journal)
    read: Counter[int] = Counter()
    for (hour, _), text in rows(journal).items():
        read[hour // DAY * DAY] += total(text)
    assert read == counted


def test_a_period_begins_with_the_hour_or_the_day_that_it_begins_in(
    journal: Journal, open_journal: Callable[..., Journal]
) -> None:
    fill(open_journal(0.0), days=HOURLY_DAYS + 2)
    add_up(journal)
    in_day = TODAY - HOURLY_DAYS * DAY + 17 * HOUR
    assert next(journal.tallies(in_day))[:2] == (TODAY - HOURLY_DAYS * DAY, DAY)
    in_hour = TODAY - DAY + 2 * HOUR + 1800
    assert next(journal.tallies(in_hour))[:2] == (TODAY - DAY + 2 * HOUR, HOUR)


def fill(journal: Journal, days: int) -> Counter[int]:
    """Two hours of three processes a day, until today. How many verdicts each day has."""
    counted: Counter[int] = Counter()
    for ago in range(days):
        day = TODAY - ago * DAY
        for number, process in enumerate(PROCESSES):
            for hour in (1, 2):
                journal.tally(day + hour * HOUR, process, tally(ago + number + hour).as_text())
                counted[day] += ago + number + hour
    return counted


def tally(verdicts: int) -> Tally:
    made = Tally()
    for _ in range(verdicts):
        verdict = Verdict(Answer.UNKNOWN, "no account source knows this user")
        made.add("milter", verdict, 1.0, "<nobody@example.org>", "192.0.2.1")
    return made


def total(text: str) -> int:
    return sum(Tally.from_text(text).kinds.values())


def by_day(journal: Journal) -> Counter[int]:
    """The verdicts of each day, as a report adds them up; of what it can read."""
    counted: Counter[int] = Counter()
    for it in journal.tallies(0):
        if it.tally != "{}":
            counted[it.begins // DAY * DAY] += total(it.tally)
    return counted


def add_up(journal: Journal) -> None:
    """What a process does when its first row of an hour is written."""
    process = f"mx4:{id(journal)}:ee"
    journal.tally(TODAY, process, Tally().as_text())
    delete(journal, process)


def delete(journal: Journal, process: str) -> None:
    is_its = (HOURS.c.hour == TODAY) & (HOURS.c.writer == process)
    with journal._database.transaction() as connection:
        connection.execute(HOURS.delete().where(is_its))


def rows(journal: Journal) -> dict[tuple[Any, ...], str]:
    """All rows, by hour and writer."""
    with journal._database.transaction() as connection:
        found = connection.execute(sa.text("SELECT hour, writer, tally FROM hours"))
        return {(row.hour, row.writer): row.tally for row in found}
