"""Old and new programs at old and new journals: nothing is lost, and what cannot be used is not touched."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from autocreate.backends.sql_drivers import parsed
from autocreate.errors import Temporary
from autocreate.service import journal_database, journal_schema
from autocreate.service.journal import Entry, Journal
from autocreate.service.journal_schema import STEPS, VERSION, Step

from .journals import OLD_JOURNALS, SERVERS, all_rows, execute, journal_server, load_dump

NewJournal = Callable[[], str]


@pytest.fixture(scope="module", params=("sqlite", *SERVERS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def new(kind: str) -> Iterator[NewJournal]:
    with journal_server(kind) as make:
        yield make


def old_journals(kind: str) -> list[Path]:
    found = sorted(OLD_JOURNALS.glob(f"*.{kind}.sql"))
    assert found
    return found


def state(url: str) -> dict[str, Any]:
    with closing(Journal(url, time.time)) as journal:
        return journal.state


def test_every_journal_that_there_ever_was_is_upgraded_and_keeps_every_row(
    kind: str, new: NewJournal, caplog: pytest.LogCaptureFixture
) -> None:
    fresh = new()
    assert state(fresh)["version"] == VERSION
    for dump in old_journals(kind):
        url = new()
        load_dump(url, dump)
        before = all_rows(url)
        assert sum(map(len, before.values())) >= 4
        assert state(url)["version"] == VERSION
        after = all_rows(url)
        for table, rows in before.items():
            kept = [{name: row[name] for name in rows[0]} for row in after[table]]
            assert kept == rows, dump.name
        assert shape(url) == shape(fresh), dump.name
        with closing(Journal(url, time.time)) as journal:
            entry = journal.entry("jürgen@example.org")
            assert entry is not None
            assert (entry.begun, entry.usable, entry.attempts) == (True, True, 3)
            assert entry.service == ("lmtp" if dump.name.startswith("1.") else "imap")
    assert not caplog.records


def shape(url: str) -> dict[str, Any]:
    """The tables, their columns and keys; not the lengths of text, which earlier versions had longer."""
    engine = sa.create_engine(parsed(url))
    there = sa.inspect(engine)
    found = {
        name: (
            {it["name"]: it["nullable"] for it in there.get_columns(name)},
            there.get_pk_constraint(name)["constrained_columns"],
            sorted((it["name"] or "", *it["column_names"]) for it in there.get_indexes(name)),
        )
        for name in there.get_table_names()
    }
    engine.dispose()
    return found


def test_programs_of_earlier_versions_go_on_at_the_upgraded_journal(new: NewJournal) -> None:
    """Their statements name the columns that they know."""
    url = new()
    with closing(Journal(url, time.time)) as journal:
        user = sa.create_engine(parsed(url)).dialect.identifier_preparer.quote("user")
        execute(
            url,
            f"INSERT INTO unfinished ({user}, address, usable, attempts, next_try, error) "
            "VALUES ('joe', 'joe@example.org', false, 0, 1, '')",
            f"INSERT INTO unfinished ({user}, address, service, begun, usable, attempts, next_try, "
            "error) VALUES ('ann', 'ann@example.org', 'imap', false, true, 1, 2, 'away')",
            f"INSERT INTO given ({user}, thing) VALUES ('joe', 'folder Sent')",
        )
        assert journal.due(10.0, 10) == [
            Entry("joe", "joe@example.org", next_try=1.0),
            Entry("ann", "ann@example.org", "imap", False, True, 1, 2.0, "away"),
        ]
        journal.finish("joe")
    assert [row["user"] for row in all_rows(url)["unfinished"]] == ["ann"]


def test_several_processes_upgrade_at_once(
    kind: str, new: NewJournal, caplog: pytest.LogCaptureFixture
) -> None:
    url = new()
    load_dump(url, old_journals(kind)[0])
    start = threading.Barrier(4)

    def begin(number: int) -> int:
        start.wait(30)
        with closing(Journal(url, time.time)) as journal:
            journal.begin(Entry(f"user{number}", "address"))
            return int(journal.state["version"])

    with ThreadPoolExecutor(4) as processes:
        assert set(processes.map(begin, range(4))) == {VERSION}
    assert not caplog.records
    assert len(all_rows(url)["schema_version"]) == 1


# -- a newer journal -------------------------------------------------------------------------


def newer(url: str, oldest: int) -> None:
    """What a program of the next version but one leaves."""
    row = f"({VERSION + 2}, {oldest}, 1.0)"
    execute(url, f"INSERT INTO schema_version (version, oldest, since) VALUES {row}")


def test_a_newer_journal_that_allows_this_program_is_used(
    new: NewJournal, caplog: pytest.LogCaptureFixture
) -> None:
    url = new()
    state(url)
    newer(url, VERSION)
    with closing(Journal(url, time.time)) as journal:
        journal.begin(Entry("joe", "joe@example.org"))
        assert journal.count_unfinished() == 1
        assert journal.state["up"]
        assert journal.state["difference"] == (
            f"version {VERSION + 2} is newer than version {VERSION} of this program, which can use it"
        )
    assert not caplog.records


def test_a_newer_journal_that_this_program_cannot_use_is_not_touched_and_said_once(
    new: NewJournal, caplog: pytest.LogCaptureFixture
) -> None:
    url = new()
    state(url)
    newer(url, VERSION + 1)
    before = all_rows(url)
    with closing(Journal(url, time.time)) as journal:
        for _ in range(3):
            with pytest.raises(Temporary, match=r"cannot be used: its version \d+ is newer than"):
                journal.begin(Entry("joe", "joe@example.org"))
            with pytest.raises(Temporary, match="cannot be used"):
                journal.entry("joe")
        assert not journal.state["up"]
        assert all_rows(url) == before
        (said,) = caplog.records
        assert "new users get 451" in said.message
        assert "install the version of autocreate that the other MTAs have" in said.message
        # As soon as it is a journal of this version, it is used.
        execute(url, f"DELETE FROM schema_version WHERE version > {VERSION}")
        journal.begin(Entry("joe", "joe@example.org"))
        assert journal.state["up"]


def test_a_running_process_notices_that_the_journal_was_upgraded_beyond_it(
    new: NewJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new()
    with closing(Journal(url, time.time)) as journal:
        journal.begin(Entry("joe", "joe@example.org"))
        newer(url, VERSION + 1)
        monkeypatch.setattr(journal_database, "_BETWEEN_VERSIONS", 0.0)
        with pytest.raises(Temporary, match="cannot be used"):
            journal.finish("joe")
    assert len(all_rows(url)["unfinished"]) == 1


# -- a journal that may not be upgraded ------------------------------------------------------


def test_a_step_that_stops_other_programs_is_left_to_the_administrator(
    new: NewJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new()
    state(url)
    monkeypatch.setattr(
        journal_schema, "STEPS", (*STEPS, Step(VERSION + 1, "a change", oldest=VERSION + 1))
    )
    monkeypatch.setattr(journal_schema, "VERSION", VERSION + 1)
    assert state(url)["version"] == VERSION
    engine = sa.create_engine(parsed(url))
    with engine.begin() as connection:
        assert [step.adds for step in journal_schema.upgrade(connection)] == ["a change"]
        assert journal_schema.found(connection)[:2] == (VERSION + 1, VERSION + 1)
    engine.dispose()
    monkeypatch.undo()
    assert not state(url)["up"]


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_where_no_table_may_be_created_an_older_journal_is_used_as_it_is(
    kind: str, new: NewJournal, caplog: pytest.LogCaptureFixture
) -> None:
    url = new()
    load_dump(url, OLD_JOURNALS / "6.postgresql.sql")
    forbid_new_tables(url)
    with closing(Journal(url, time.time)) as journal:
        journal.finish("joe", ["folder Sent"])
        assert journal.given("joe") == {"folder Sent"}
        assert journal.state["up"]
        assert journal.state["difference"].startswith("version 6 is older than")
    (said,) = caplog.records
    assert said.levelno == logging.WARNING
    assert "permission denied" in said.message
    assert "run autocreate journal upgrade as a database user who may create" in said.message


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_where_no_table_may_be_created_a_journal_that_lacks_one_is_an_outage(
    kind: str, new: NewJournal, caplog: pytest.LogCaptureFixture
) -> None:
    url = new()
    load_dump(url, OLD_JOURNALS / "5.postgresql.sql")
    forbid_new_tables(url)
    with (
        closing(Journal(url, time.time)) as journal,
        pytest.raises(Temporary, match="permission denied"),
    ):
        journal.entry("joe")
    (said,) = caplog.records
    assert "may log in, write and create tables" in said.message


def forbid_new_tables(url: str) -> None:
    """As the owner of the database, who has the right by that."""
    execute(url, "REVOKE CREATE ON SCHEMA public FROM pg_database_owner, PUBLIC")
