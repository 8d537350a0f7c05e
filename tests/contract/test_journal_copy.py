"""A journal is copied from any database into any other, again and again, while it is in use."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from autocreate.admin import journals
from autocreate.admin.journals import Impossible, Place
from autocreate.backends.sql_drivers import parsed
from autocreate.errors import Temporary
from autocreate.model import Answer, Recipient, Verdict
from autocreate.service import journal_copy
from autocreate.service.journal import Entry, Journal
from autocreate.service.journal_copy import Copied
from autocreate.service.journal_creations import Creation, DueHook
from autocreate.service.journal_hours import DAY, HOUR
from autocreate.service.journal_leases import Duty
from autocreate.service.journal_merge import DAY_WRITER
from autocreate.service.journal_schema import VERSION
from autocreate.statistics.tally import Tally
from tests.servers.common import HUNG

from .journals import OLD_JOURNALS, SERVERS, all_rows, execute, journal_server, load_dump

KINDS = ("sqlite", *SERVERS)
NewJournal = Callable[[], str]
DAY_0 = 20_000 * DAY


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, NewJournal]]:
    with ExitStack() as stack:
        yield {kind: stack.enter_context(journal_server(kind)) for kind in KINDS}


def copied(source: str, target: str) -> dict[str, Copied]:
    return {
        it.table: it
        for it in journals.copy(Place(source), Place(target), lambda _table, _rows: None)
    }


def written(found: dict[str, Copied]) -> dict[str, int]:
    return {name: it.new + it.changed for name, it in found.items() if it.new + it.changed}


def normal(rows: dict[str, list[dict[str, Any]]]) -> dict[str, set[tuple[Any, ...]]]:
    """Without an order, leases, and the times of upgrades; databases have different types of numbers."""
    return {
        table: {
            tuple(float(it) if isinstance(it, bool | int) else it for it in row.values())
            for row in some
            if not str(row.get("name")).startswith("lease")
        }
        for table, some in rows.items()
        if table != "schema_version"
    }


def fill(url: str, now: float = DAY_0) -> None:
    """Something in every table, and more than a page of what is much."""
    with closing(Journal(url, lambda: now)) as journal:
        journal.begin(Entry("joe", "joe@example.org", next_try=now))
        journal.fail(Entry("joe", "joe@example.org", attempts=3, error="Zür\U0001f4eb"))
        journal.begin(Entry("new", "new@example.org"), Creation("new", "mx1:1:aa", now + 120))
        journal.begin(Entry("done", "done"), Creation("done", "mx1:1:aa", now + 120))
        journal.finish("done", ["folder Sent"], DueHook("done", "everyone", "{}"))
        journal.finish("many", [f"folder {number:04}" for number in range(1200)])
        for number in range(40):
            journal.finish(f"user{number}", ["folder Entwürfe", "subscription Sent"])
        verdict = Verdict(Answer.UNKNOWN, "no account source knows this user")
        journal.record(Recipient("<'%s:x\\'@example.org>"), verdict)
        for hour in range(0, 3 * DAY, 5 * HOUR):
            journal.tally(int(now) - hour, "mx1:1:aa", tally(hour // HOUR))
        journal.tally(int(now), "mx1:2:bb", '{"version": 2}')
        journal.watch.put("mark:staff", '{"until": 1}')
        journal.lease(Duty.WATCH).take("mx1:1:aa", 30)


def tally(verdicts: int) -> str:
    made = Tally()
    for number in range(verdicts):
        made.add("milter", Verdict(Answer.ACCEPT, "created"), number + 0.1, "<joe@example.org>")
    return made.as_text()


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_every_row_arrives_and_what_is_copied_again_changes_nothing(
    servers: dict[str, NewJournal], source: str, target: str
) -> None:
    old, new = servers[source](), servers[target]()
    fill(old)
    before = all_rows(old)
    found = copied(old, new)
    assert normal(all_rows(new)) == normal(before)
    assert {name: it.rows for name, it in found.items()} == {
        name: len(rows) for name, rows in before.items() if name != "schema_version"
    }
    assert not [it for it in found.values() if it.rejected or it.left or it.changed]
    assert not written(copied(old, new))
    assert all_rows(old) == before
    # And back, into an empty one.
    back = servers[source]()
    copied(new, back)
    assert normal(all_rows(back)) == normal(before)


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest, servers: dict[str, NewJournal]) -> tuple[str, str]:
    """An empty SQLite journal, and an empty one of each kind to copy into."""
    return servers["sqlite"](), servers[request.param]()


def test_what_is_there_already_is_kept_and_merged(pair: tuple[str, str]) -> None:
    old, new = pair
    seen = Verdict(Answer.UNKNOWN, "no account source knows this user")
    with closing(Journal(old, lambda: 1000.0)) as journal:
        journal.begin(Entry("joe", "joe", attempts=1, next_try=5.0, error="earlier"))
        journal.finish("ann", ["folder Sent", "folder Trash"])
        journal.record(Recipient("<later-here>"), seen)
        journal.tally(0, "mx1:1:aa", tally(3))
        journal.tally(0, "mx1:2:bb", tally(1))
    with closing(Journal(new, lambda: 900.0)) as journal:
        journal.record(Recipient("<later-here>"), Verdict(Answer.ACCEPT, "created"))
        journal.record(Recipient("<later-here>"), Verdict(Answer.ACCEPT, "created"))
        journal.begin(Entry("joe", "joe", attempts=2, next_try=50.0, error="later"))
        journal.finish("ann", ["folder Sent", "folder Drafts"])
        journal.tally(0, "mx1:1:aa", tally(2))
        journal.tally(0, "mx1:2:bb", tally(5))
        journal.tally(0, "mx2:1:cc", tally(7))
    found = copied(old, new)
    assert (found["hours"].changed, found["seen"].changed, found["given"].new) == (1, 1, 1)
    with closing(Journal(new, lambda: 900.0)) as journal:
        entry = journal.entry("joe")
        assert entry is not None
        assert entry.error == "later"
        assert journal.given("ann") == {"folder Sent", "folder Trash", "folder Drafts"}
        (row,) = journal.seen()
        assert (row["answer"], row["times"], row["first_seen"]) == ("unknown", 2, 900.0)
        counted = sorted(total(it.tally) for it in journal.tallies(0))
        assert counted == [3, 5, 7]


def test_days_of_several_journals_are_added_each_once(pair: tuple[str, str]) -> None:
    """Three MTAs that had a journal each move into one."""
    first, new = pair
    others = [first.replace(".db", f"-{number}.db") for number in range(2)]
    for number, url in enumerate((first, *others)):
        with closing(Journal(url, lambda: float(DAY_0))) as journal:
            journal.tally(0, DAY_WRITER, tally(10 + number))
            journal.tally(DAY, DAY_WRITER, tally(1))
    for url in (first, *others, first, *others):
        copied(url, new)
    with closing(Journal(new, time.time)) as journal:
        days = [(it.begins, it.seconds, total(it.tally)) for it in journal.tallies(0)]
    assert days == [(0, DAY, 33), (DAY, DAY, 1)]  # three days with the same counts are one day


def total(text: str) -> int:
    return sum(Tally.from_text(text).kinds.values())


def test_what_only_one_process_may_do_waits_until_nobody_uses_a_journal(
    pair: tuple[str, str],
) -> None:
    old, new = pair
    fill(old)
    for url in (old, new):
        with closing(Journal(url, time.time)):
            found = copied(old, new)
            assert {it.table: it.left for it in found.values() if it.left} == {
                "creations": 1,
                "hooks": 1,
            }
    rows = all_rows(new)
    assert not rows["creations"]
    assert len(rows["unfinished"]) == 2
    assert written(copied(old, new)) == {"creations": 1, "hooks": 1}


# One user after the other, again and again: a copy has to catch up with all that is written meanwhile. It waits for
# SQLite's lock as long as the copy itself: on a busy machine that is longer than mail waits.
WRITER = """
import os, sys, time
from autocreate.service import journal_copy, journal_database
from autocreate.service.journal import Entry, Journal
journal_database._TIMEOUT = journal_copy._TIMEOUT
url, stop, users = sys.argv[1], sys.argv[2], int(sys.argv[3])
journal = Journal(url, time.time)
written = 0
print("writes", flush=True)
while not os.path.exists(stop):
    user = f"live{written % users}"
    journal.begin(Entry(user, "address"))
    journal.finish(user, ["folder Sent"])
    written += 1
journal.close()
print(min(written, users), flush=True)
"""
LIVE_USERS = 1_000


def test_it_is_copied_while_a_process_writes_to_both(pair: tuple[str, str], tmp_path: Path) -> None:
    old, new = pair
    fill(old)
    with closing(Journal(new, time.time)):
        pass
    stop = tmp_path / "stop"
    commands = [[sys.executable, "-c", WRITER, url, str(stop), str(LIVE_USERS)] for url in pair]
    writers = [subprocess.Popen(it, stdout=subprocess.PIPE, text=True) for it in commands]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "writes\n"
        for _ in range(3):
            copied(old, new)
    finally:
        stop.touch()
        ends = [writer.communicate(timeout=HUNG)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    copied(old, new)
    users = {row["user"] for row in all_rows(new)["given"]}
    assert {f"live{number}" for number in range(max(map(int, ends)))} <= users


def test_a_copy_that_was_interrupted_is_taken_up_again(pair: tuple[str, str]) -> None:
    old, new = pair
    fill(old)

    def stop(table: str, rows: int) -> None:
        if (table, rows) > ("given", 900):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(journals.copy(Place(old), Place(new), stop))
    assert 0 < len(all_rows(new)["given"]) < len(all_rows(old)["given"])
    copied(old, new)
    assert normal(all_rows(new)) == normal(all_rows(old))


def test_a_row_that_a_server_cannot_have_is_named_and_all_others_are_copied(
    servers: dict[str, NewJournal],
) -> None:
    old = servers["sqlite"]()
    fill(old)
    long = "u" * 251
    with closing(Journal(old, time.time)) as journal:
        journal.finish(long, ["folder Sent"])
        journal.finish("nul", ["folder a\0b"])
        journal.begin(Entry("odd", "odd", next_try=math.inf))
        journal.begin(Entry("bytes", "bytes", error="x" * 70_000))
    execute(old, "UPDATE unfinished SET error = x'00ff' WHERE user = 'joe'")
    for kind in SERVERS:
        new = servers[kind]()
        found = copied(old, new)
        reasons = [reason for it in found.values() for reason in it.rejected]
        assert len(reasons) == 4, reasons
        assert f"given '{long[:78]}" in reasons[0 if kind == "mariadb" else 1]
        assert "user has 251 characters, and 250 are the limit" in "".join(reasons)
        assert "unfinished 'odd': next_try is not a number" in reasons
        assert "unfinished 'joe': error is not text" in reasons
        expected = "a NUL character" if kind == "postgresql" else "unfinished 'bytes': "
        assert any(expected in reason for reason in reasons)
        assert found["given"].new == found["given"].rows - len(found["given"].rejected)


# -- what cannot be copied -------------------------------------------------------------------


def test_what_cannot_be_copied_is_refused_in_words(servers: dict[str, NewJournal]) -> None:
    old, new = servers["sqlite"](), servers["sqlite"]()
    path = parsed(old).database
    with pytest.raises(Impossible, match="does not exist: check the path"):
        copied(old, new)
    assert not Path(str(path)).exists()
    load_dump(old, OLD_JOURNALS / "3.sqlite.sql")
    with pytest.raises(
        Impossible, match=r"its version 3 is older .* run autocreate journal upgrade"
    ):
        copied(old, new)
    journals.upgrade(Place(old))
    with pytest.raises(Impossible, match="both the source and the target"):
        copied(old, f"{old}?timeout=5")
    assert written(copied(old, new))
    newer = f"({VERSION + 1}, {VERSION + 1}, 1.0)"
    execute(new, f"INSERT INTO schema_version (version, oldest, since) VALUES {newer}")
    with pytest.raises(Temporary, match="install the version of autocreate"):
        copied(old, new)
    empty = servers["postgresql"]()
    with pytest.raises(Impossible, match="has no tables of a journal"):
        copied(empty, new)


def test_contents_are_counted_and_nothing_is_created(servers: dict[str, NewJournal]) -> None:
    url = servers["sqlite"]()
    assert journals.contents(Place(url)).schema.version == 0
    assert not Path(str(parsed(url).database)).exists()
    for make in servers.values():
        url = make()
        fill(url)
        found = journals.contents(Place(url))
        assert found.schema.version == VERSION
        assert found.rows == {
            name: len(rows) for name, rows in all_rows(url).items() if name != "schema_version"
        }
        assert "liest" not in found.place


def test_an_upgrade_tells_its_steps(servers: dict[str, NewJournal]) -> None:
    for kind, make in servers.items():
        url = make()
        load_dump(url, OLD_JOURNALS / f"5.{kind}.sql")
        before, steps = journals.upgrade(Place(url))
        assert before.version == 5
        assert [step.adds for step in steps] == ["the watch", "the version of the journal"]
        assert journals.upgrade(Place(url))[1] == []
        assert sa.make_url(url).database


def test_a_file_that_somebody_locks_is_an_outage(
    servers: dict[str, NewJournal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_copy, "_TIMEOUT", 0.2)
    old, new = servers["sqlite"](), servers["sqlite"]()
    fill(old)
    journals.upgrade(Place(new))
    path = str(parsed(new).database)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(journals, "_upgraded", lambda _journal: None)
        with pytest.raises(Temporary, match="database is locked"):
            copied(old, new)
    assert written(copied(old, new))


def test_a_lock_that_is_given_up_is_waited_for_longer_than_mail_can_wait(
    servers: dict[str, NewJournal],
) -> None:
    """Two seconds are the limit of a process that serves, and many that write may take longer."""
    old, new = servers["sqlite"](), servers["sqlite"]()
    fill(old)
    journals.upgrade(Place(new))
    other = sqlite3.connect(
        str(parsed(new).database), isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN IMMEDIATE")
    writer = threading.Timer(2.5, other.rollback)
    with closing(other):
        writer.start()
        try:
            assert written(copied(old, new))
        finally:
            writer.join()
