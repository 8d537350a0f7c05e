"""The journal of a farm of MTAs, on a database server."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from autocreate.errors import Temporary
from autocreate.model import Answer, Recipient, Verdict
from autocreate.service import journal_database
from autocreate.service.journal import Entry, Journal
from autocreate.statistics.recorder import Statistics
from autocreate.statistics.tally import Tally
from tests.servers.common import wait_until
from tests.servers.relay import Relay

from .journals import SERVERS, new_journal

# Beyond what a signed 32-bit number holds, which ends in January 2038.
LATER = 2_200_000_000.0


@pytest.fixture(params=SERVERS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database on a server, in which a journal can be made."""
    with new_journal(request.param) as made:
        yield made


def test_a_silent_server_is_a_doubt_in_time_and_is_used_again_once_it_speaks(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_database, "_TIMEOUT", 1.0)
    server = make_url(url)
    assert server.port
    with Relay(server.port) as relay:
        beyond = server.set(port=relay.port).render_as_string(hide_password=False)
        with contextlib.closing(Journal(beyond, time.time)) as journal:
            journal.begin(Entry("joe", "joe@example.org"))
            relay.pause()
            begun = time.monotonic()
            with pytest.raises(Temporary, match="cannot be used"):
                journal.entry("joe")
            # Who asks next waits no longer at all.
            with pytest.raises(
                Temporary, match=r"is not retried yet; last error: journal .* cannot be"
            ):
                journal.entry("joe")
            assert time.monotonic() - begun < 4.0
            relay.resume()
            assert wait_until(lambda: _entry(journal, "joe"), 30.0, "the journal")


def _entry(journal: Journal, user: str) -> Entry | None:
    try:
        return journal.entry(user)
    except Temporary:
        return None


def test_hours_of_several_processes_add_up(url: str) -> None:
    journals = [Journal(url, time.time) for _ in range(2)]
    for journal in journals:
        process = Statistics(lambda: LATER)
        for _ in range(2):
            verdict = Verdict(Answer.ACCEPT, "INBOX exists", "joe")
            process.count("milter", verdict, 1.0, "<joe@example.org>")
            process.save(journal.tally)
    tallies = [Tally.from_text(it.tally) for it in journals[0].tallies(0)]
    assert [sum(tally.kinds.values()) for tally in tallies] == [2, 2]
    assert journals[0].count_unfinished() == 0
    for journal in journals:
        journal.close()


def test_processes_that_begin_an_hour_at_once_do_not_lock_each_other(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    journals = [Journal(url, time.time) for _ in range(4)]
    hour = threading.Barrier(len(journals))

    def write(number: int) -> None:
        for begins in range(0, 20 * 3600, 3600):
            hour.wait(30)
            journals[number].tally(begins, f"mx{number}:1:aa", "{}")

    with ThreadPoolExecutor(len(journals)) as processes:
        list(processes.map(write, range(len(journals))))
    assert len(list(journals[0].tallies(0))) == 4 * 20
    assert not caplog.records
    for journal in journals:
        journal.close()


def test_trees_of_several_users_are_finished_at_once(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What is deleted before it is inserted locks a gap on MariaDB, which other users' rows are in."""
    with contextlib.closing(Journal(url, time.time)) as journal:

        def finish(mta: int) -> None:
            for number in range(100):
                user = f"user{number:03}-{mta}"
                journal.begin(Entry(user, user))
                journal.finish(user, ["folder Sent", "folder Drafts", "folder Trash"])

        with ThreadPoolExecutor(4) as mtas:
            list(mtas.map(finish, range(4)))
        assert journal.count_unfinished() == 0
        assert journal.given("user099-3") == {"folder Sent", "folder Drafts", "folder Trash"}
    assert not caplog.records


def test_a_tree_is_begun_put_off_and_finished(url: str) -> None:
    with contextlib.closing(Journal(url, time.time)) as journal:
        begun = Entry("joe", "joe@example.org", next_try=LATER + 0.25)
        journal.begin(begun)
        journal.begin(begun)  # by another MTA
        journal.begin(Entry("Joe", "Joe@example.org", next_try=LATER))
        assert journal.entry("joe") == begun
        assert [entry.user for entry in journal.due(LATER, limit=10)] == ["Joe"]

        journal.fail(replace(begun, attempts=1, error="Zür\U0001f4eb"), ["folder Entwürfe"])
        assert journal.entry("joe") == replace(begun, attempts=1, error="Zür\U0001f4eb")
        journal.finish("joe", ["folder Entwürfe", "folder Sent"])
        assert journal.entry("joe") is None
        assert journal.given("joe") == {"folder Entwürfe", "folder Sent"}
        assert journal.given("Joe") == set()


def test_what_is_due_whenever_it_was_noted_is_every_entry(url: str) -> None:
    with contextlib.closing(Journal(url, time.time)) as journal:
        for user, when in (("joe", 10.0), ("ann", LATER)):
            journal.begin(Entry(user, user, next_try=when))
        assert [it.user for it in journal.due(math.inf, limit=10)] == ["joe", "ann"]
        assert [it.user for it in journal.due(30.0, limit=10, beyond=100.0)] == ["joe", "ann"]
        assert [it.user for it in journal.due(30.0, limit=10)] == ["joe"]


def test_tables_that_were_dropped_are_made_anew(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.closing(Journal(url, time.time)) as journal:
        journal.begin(Entry("joe", "joe@example.org"))
        others = sa.create_engine(journal._database._engine.url)
        with others.begin() as connection:
            for table in ("unfinished", "given"):
                connection.execute(sa.text(f"DROP TABLE {table}"))
        others.dispose()
        assert journal.entry("joe") is None
        journal.begin(Entry("joe", "joe@example.org"))
        journal.finish("joe", ["folder Sent"])
        assert journal.given("joe") == {"folder Sent"}
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "its tables unfinished, given were dropped and have been created again; " in caplog.text


def test_several_mtas_may_make_it_at_once(url: str, caplog: pytest.LogCaptureFixture) -> None:
    start = threading.Barrier(4)

    def make(number: int) -> Journal:
        start.wait(30)
        journal = Journal(url, time.time)
        journal.begin(Entry(f"user{number}", "address"))
        return journal

    with ThreadPoolExecutor(4) as mtas:
        journals = list(mtas.map(make, range(4)))
    assert journals[0].count_unfinished() == 4
    assert not caplog.records
    for journal in journals:
        journal.close()


def test_what_dry_run_saw_is_remembered_however_long_and_odd_it_is(url: str) -> None:
    with contextlib.closing(Journal(url, time.time)) as journal:
        verdict = Verdict(Answer.UNKNOWN, "no account source knows this user")
        for argument in ("<joe@example.org>", "<Joe@example.org>", "x" * 5000, "\udcff\0"):
            for _ in range(2):
                journal.record(Recipient(argument), verdict)
        seen = {row["recipient"]: row["times"] for row in journal.seen()}
        assert seen == {
            "<joe@example.org>": 2,
            "<Joe@example.org>": 2,
            "x" * 700: 2,
            "\\udcff\\0": 2,
        }
