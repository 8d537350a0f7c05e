"""What is unfinished, and what was seen in dry run."""

from __future__ import annotations

import math
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from autocreate.backends import sql_transactions, sqlite_file
from autocreate.backends.sqlite_file import SqliteFile
from autocreate.errors import ConfigurationError, Temporary
from autocreate.model import Answer, Recipient, Verdict
from autocreate.service import journal as journals
from autocreate.service.journal import Entry, Journal
from autocreate.tree.actions import CreateMailbox
from autocreate.tree.plan import Plan
from tests.unit.clock import Clock

JOE = Entry("joe", "joe@example.org", next_try=100.0)
VERDICT = Verdict(
    Answer.ACCEPT,
    "has an account and no mailbox",
    "joe",
    "staff",
    "everyone",
    Plan("joe", "everyone", (CreateMailbox(()),)),
)
UNKNOWN = Verdict(Answer.UNKNOWN, "no account source knows this user")


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Iterator[Journal]:
    journal = Journal(f"sqlite:///{tmp_path}/journal.db", clock)
    yield journal
    journal.close()


def test_what_is_begun_is_unfinished_until_it_is_finished(journal: Journal) -> None:
    assert journal.entry("joe") is None
    journal.begin(JOE)
    assert journal.entry("joe") == JOE
    journal.finish("joe")
    assert journal.entry("joe") is None


def test_what_is_begun_twice_is_left_as_it_is(journal: Journal) -> None:
    journal.begin(JOE)
    journal.begin(Entry("joe", "joe@other.test", usable=True, attempts=3))
    assert journal.entry("joe") == JOE


def test_what_was_only_to_be_looked_at_can_be_begun(journal: Journal) -> None:
    journal.begin(Entry("joe", "joe", "imap", begun=False, error="no answer in time"))
    journal.begin(JOE)
    assert journal.entry("joe") == Entry("joe", "joe", "imap", error="no answer in time")


def test_who_is_to_be_looked_at_again_is_looked_at_as_if_for_the_first_time(
    journal: Journal,
) -> None:
    look = Entry("joe", "joe", "imap", begun=False)
    journal.begin(look)
    journal.fail(replace(look, attempts=5, next_try=2000.0, error="Cyrus is away"))
    journal.begin(replace(look, next_try=1000.0))
    assert journal.entry("joe") == replace(look, next_try=1000.0, error="Cyrus is away")


def test_what_was_begun_is_not_taken_back_by_a_look(journal: Journal) -> None:
    journal.begin(JOE)
    journal.begin(Entry("joe", "joe", "imap", begun=False))
    assert journal.entry("joe") == JOE


def test_a_failed_attempt_is_noted(journal: Journal) -> None:
    journal.begin(JOE)
    later = Entry(
        "joe", "joe@example.org", usable=True, attempts=1, next_try=160.0, error="could not"
    )
    journal.fail(later)
    assert journal.entry("joe") == later


def test_an_attempt_that_fails_after_another_has_finished_notes_nothing(journal: Journal) -> None:
    journal.fail(JOE)
    assert journal.entry("joe") is None


def test_what_is_due_comes_most_overdue_first(journal: Journal) -> None:
    for user, when in (("ann", 30.0), ("joe", 10.0), ("bob", 20.0), ("zoe", 30.1)):
        journal.begin(Entry(user, user, next_try=when))
    assert [it.user for it in journal.due(30.0, limit=10)] == ["joe", "bob", "ann"]
    assert [it.user for it in journal.due(30.0, limit=2)] == ["joe", "bob"]


def test_an_entry_outlives_its_process(tmp_path: Path, journal: Journal, clock: Clock) -> None:
    journal.begin(JOE)
    again = Journal(f"sqlite:///{tmp_path}/journal.db", clock)
    assert again.entry("joe") == JOE
    again.close()


def test_dry_run_remembers_a_recipient_once_and_counts(journal: Journal, clock: Clock) -> None:
    journal.record(Recipient("<joe@example.org>"), Verdict(Answer.TEMPORARY, "Cyrus is away"))
    clock.now += 5.0
    journal.record(Recipient("<joe@example.org>"), VERDICT)
    assert list(journal.seen()) == [
        {
            "recipient": "<joe@example.org>",
            "answer": "accept",
            "reason": "has an account and no mailbox",
            "user": "joe",
            "source": "staff",
            "policy": "everyone",
            "plan": '{"user": "joe", "policy": "everyone", "actions": [{"action": "create", '
            '"folder": "INBOX", "special_use": null, "partition": null}]}',
            "times": 2,
            "first_seen": 1000.0,
            "last_seen": 1005.0,
        }
    ]


def test_the_latest_recipient_comes_first(journal: Journal, clock: Clock) -> None:
    for user in ("joe", "ann", "joe", "bob"):
        clock.now += 1.0
        journal.record(Recipient(user), VERDICT)
    assert [row["recipient"] for row in journal.seen()] == ["bob", "joe", "ann"]


def test_the_recipients_seen_longest_ago_are_forgotten(
    journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "SEEN_LIMIT", 3)
    monkeypatch.setattr(journals, "_BETWEEN_COUNTS", 1)
    for user in ("a", "b", "c", "a", "d", "e"):
        clock.now += 1.0
        journal.record(Recipient(user), VERDICT)
    assert [row["recipient"] for row in journal.seen()] == ["e", "d", "a"]


def test_guesses_are_forgotten_before_users(
    journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "SEEN_LIMIT", 4)
    monkeypatch.setattr(journals, "_BETWEEN_COUNTS", 1)
    for user in ("joe", "ann", *(f"guess{number}" for number in range(50))):
        clock.now += 1.0
        journal.record(Recipient(user), UNKNOWN if user.startswith("guess") else VERDICT)
    assert [row["recipient"] for row in journal.seen()] == ["guess49", "guess48", "ann", "joe"]


def test_a_flood_does_not_count_the_table_with_each_row(
    journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "SEEN_LIMIT", 100)
    monkeypatch.setattr(journals, "_BETWEEN_COUNTS", 50)
    statements: list[str] = []
    engine = journal._database._engine
    sa.event.listen(
        engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
    )
    for number in range(400):
        clock.now += 1.0
        journal.record(Recipient(f"guess{number}"), UNKNOWN)
    counts = [it for it in statements if "count(" in it.lower()]
    assert 0 < len(counts) <= 2 * 400 / 50
    assert len(list(journal.seen())) <= 100 + 50


@pytest.mark.parametrize(
    ("argument", "recorded"),
    [("jo\udce9", "jo\\udce9"), ("jo\0e", "jo\\0e"), ("j" * 10_000, "j" * 700)],
)
def test_a_recipient_is_recorded_whatever_its_bytes(
    journal: Journal, argument: str, recorded: str
) -> None:
    journal.record(Recipient(argument), VERDICT)
    journal.record(Recipient(argument), VERDICT)
    assert [(row["recipient"], row["times"]) for row in journal.seen()] == [(recorded, 2)]


def test_many_threads_may_write_at_once(journal: Journal) -> None:
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait(30)
        for turn in range(5):
            journal.begin(Entry(f"user{number}", "address"))
            journal.record(Recipient("everyone"), VERDICT)
            if turn < 4:
                journal.finish(f"user{number}")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    assert len(journal.due(0.0, limit=100)) == 8
    assert [row["times"] for row in journal.seen()] == [40]


def test_threads_wait_for_each_other_and_not_for_the_lock_of_sqlite(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, most = 0, 0
    guard = threading.Lock()
    lock = sql_transactions._lock_sqlite

    def spied(cursor: object, timeout: float) -> None:
        nonlocal inside, most
        with guard:
            inside += 1
            most = max(most, inside)
        lock(cursor, timeout)
        with guard:
            inside -= 1

    monkeypatch.setattr(sql_transactions, "_lock_sqlite", spied)
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait(30)
        for turn in range(20):
            journal.begin(Entry(f"user{number}-{turn}", "address"))
            journal.tally(turn, str(number), "{}")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    assert most == 1
    assert journal.count_unfinished() == 160


def test_a_corrupt_file_is_said_to_be_one_and_a_new_one_is_made_where_it_is_moved_away(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "journal.db").write_bytes(b"this was never a database" * 100)
    journal = Journal(f"sqlite:///{tmp_path}/journal.db", clock)
    cannot = r"^journal sqlite:///.*/journal\.db cannot be used: file is not a database"
    for _ in range(2):
        with pytest.raises(Temporary, match=cannot):
            journal.begin(JOE)
    (line,) = caplog.messages
    assert re.search(cannot, line)
    assert "to fix it, move it away: a new one is created at once" in line
    (tmp_path / "journal.db").rename(tmp_path / "journal.bad")
    journal.begin(JOE)
    assert journal.entry("joe") == JOE
    journal.close()


def test_a_file_that_becomes_corrupt_is_said_to_be_one(
    tmp_path: Path, journal: Journal, clock: Clock
) -> None:
    journal.close()
    for file in tmp_path.iterdir():
        file.write_bytes(b"overwritten by an accident" * 1000)
    for attempt in (
        lambda: journal.begin(JOE),
        lambda: journal.fail(JOE),
        lambda: journal.finish("joe"),
        lambda: journal.entry("joe"),
        lambda: journal.due(0.0, 1),
        lambda: journal.record(Recipient("joe"), VERDICT),
        lambda: list(journal.seen()),
    ):
        with pytest.raises(Temporary, match=r"journal\.db cannot be used: file is not a database"):
            attempt()


def remove(folder: Path) -> None:
    for file in folder.glob("journal.db*"):
        file.unlink()


def remove_the_main_file(folder: Path) -> None:
    (folder / "journal.db").unlink()


def replace_by_an_older_one(folder: Path) -> None:
    Journal(f"sqlite:///{folder}/older.db", Clock()).close()
    remove(folder)
    (folder / "older.db").rename(folder / "journal.db")


@pytest.mark.parametrize("lose", [remove, remove_the_main_file, replace_by_an_older_one])
def test_a_file_that_is_removed_or_replaced_while_it_is_open_is_opened_anew_and_that_is_said(
    tmp_path: Path,
    journal: Journal,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    lose: Callable[[Path], None],
) -> None:
    journal.begin(Entry("ann", "ann@example.org"))
    lose(tmp_path)
    for _ in range(2):
        journal.begin(JOE)
    assert journal.entry("ann") is None
    again = Journal(f"sqlite:///{tmp_path}/journal.db", clock)  # as after a kill
    assert again.entry("joe") == JOE
    again.close()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "journal.db was removed or replaced; it has been reopened; " in caplog.text


def test_a_file_whose_folder_is_away_is_temporary_until_it_is_back(
    tmp_path: Path, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    for file in tmp_path.iterdir():
        file.unlink()
    tmp_path.rename(tmp_path.with_suffix(".away"))
    for _ in range(2):
        with pytest.raises(Temporary, match=r"journal\.db cannot be used: unable to open"):
            journal.begin(JOE)
    (line,) = caplog.messages
    assert "to fix it, create its directory and make it writable for this user" in line
    tmp_path.with_suffix(".away").rename(tmp_path)
    journal.begin(JOE)
    assert journal.entry("joe") == JOE


def test_many_threads_begin_a_removed_file_anew_once(
    tmp_path: Path, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait(30)
        journal.begin(Entry(f"user{number}", "address"))

    remove(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    assert len(journal.due(0.0, limit=100)) == 8
    assert len(caplog.records) == 1


def test_a_new_file_with_the_inode_of_the_old_one_is_not_taken_for_it(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or whoever came before its tables were made would miss them."""
    monkeypatch.setattr(sqlite_file, "_found", lambda path: (1, int(os.path.exists(path))))
    journal = Journal(f"sqlite:///{tmp_path}/journal.db", clock)
    looked_lost = []

    def make(file: SqliteFile) -> None:
        (tmp_path / "journal.db").touch()
        looked_lost.append(bool(file.lost))

    monkeypatch.setattr(SqliteFile, "make", make)
    remove(tmp_path)
    journal.begin(JOE)
    assert looked_lost == [True]
    assert not journal._database._file.lost


def test_a_folder_that_is_missing_is_temporary_and_named(tmp_path: Path, clock: Clock) -> None:
    journal = Journal(f"sqlite:///{tmp_path}/nowhere/journal.db", clock)
    with pytest.raises(Temporary, match=r"nowhere/journal\.db cannot be used: unable to open"):
        journal.entry("joe")
    (tmp_path / "nowhere").mkdir()
    assert journal.entry("joe") is None
    journal.close()


def test_a_file_that_cannot_be_written_is_read_and_what_helps_is_said_once(
    tmp_path: Path, journal: Journal, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    journal.begin(JOE)
    url = f"sqlite:///file:{tmp_path}/journal.db?mode=ro&uri=true"
    again = Journal(url, clock)
    for _ in range(2):
        with pytest.raises(Temporary, match=r"journal\.db.* cannot be used: .*readonly database"):
            again.begin(Entry("ann", "ann"))
        assert again.entry("joe") == JOE
    (line,) = caplog.messages
    assert "to fix it, make it, its -wal and -shm files" in line
    again.close()


@pytest.mark.parametrize("end", ["-wal", "-shm"])
def test_a_companion_that_is_removed_costs_nothing_but_a_line_in_the_log(
    tmp_path: Path, journal: Journal, clock: Clock, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    journal.begin(JOE)
    (tmp_path / f"journal.db{end}").unlink()
    ann = Entry("ann", "ann@example.org")
    journal.begin(ann)
    again = Journal(f"sqlite:///{tmp_path}/journal.db", clock)  # as after a kill
    assert [again.entry(user) for user in ("joe", "ann")] == [JOE, ann]
    again.close()
    (line,) = caplog.messages
    assert f"journal.db{end} was removed or replaced; it has been reopened; " in line


def test_tables_that_were_dropped_are_made_anew_and_that_is_said(
    tmp_path: Path, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.begin(JOE)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as other, other:
        for table in ("unfinished", "given", "seen", "hours"):
            other.execute(f"DROP TABLE {table}")
    assert journal.entry("joe") is None
    journal.begin(JOE)
    journal.finish("joe", ["folder Sent"])
    assert journal.given("joe") == {"folder Sent"}
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert (
        "tables unfinished, given, seen, hours were dropped and have been created again; "
        in caplog.text
    )


def test_a_journal_that_fails_slowly_is_not_asked_again_for_a_while(
    tmp_path: Path, journal: Journal
) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Temporary, match="database is locked"):
            journal.begin(JOE)
        with pytest.raises(Temporary, match=r"is not retried yet; last error: .* is locked"):
            journal.begin(JOE)


def test_what_a_clock_that_was_ahead_has_noted_is_due(journal: Journal) -> None:
    for user, when in (("joe", 10.0), ("ann", 50.0), ("bob", 1e9)):
        journal.begin(Entry(user, user, next_try=when))
    assert [it.user for it in journal.due(30.0, limit=10, beyond=100.0)] == ["joe", "bob"]
    assert [it.user for it in journal.due(math.inf, limit=10)] == ["joe", "ann", "bob"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("journal.db", "Could not parse SQLAlchemy URL from given URL string"),
        ("nosuch://db/journal", "Can't load plugin: sqlalchemy.dialects:nosuch"),
        ("oracle+oracledb://db/journal", "No module named 'oracledb'"),
        ("sqlite://joe:secret@/journal.db", "Invalid SQLite URL: sqlite://joe:***@/journal.db"),
    ],
)
def test_a_url_that_names_no_database_is_a_mistake_in_the_configuration(
    url: str, reason: str, clock: Clock
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Journal(url, clock)
    assert str(caught.value) == (
        f'journal.url: {reason}; write it like "sqlite:////path/to/journal.db"'
    )
