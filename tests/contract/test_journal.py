"""What the journal promises where processes end badly and several write at once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocreate.errors import Temporary
from autocreate.service.journal import Entry, Journal
from tests.servers.common import HUNG, wait_until

WRITER = """
import sys, time
from autocreate.service.journal import Entry, Journal
journal = Journal(sys.argv[1], time.time)
for user in sys.argv[2:]:
    journal.begin(Entry(user, user + "@example.org"))
    if not user.startswith("stay"):
        journal.finish(user)
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.db"


@pytest.fixture
def journal(url: str) -> Iterator[Journal]:
    made = Journal(url, time.time)
    yield made
    made.close()


def _write(url: str, *users: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, url, *users]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_an_entry_outlives_the_process_that_was_killed_before_it_finished(
    url: str, journal: Journal
) -> None:
    with _write(url, "done", "stay") as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        writer.kill()
    assert [entry.user for entry in journal.due(time.time(), 10)] == ["stay"]
    assert journal.entry("done") is None


def test_two_processes_write_at_once_and_lose_nothing(url: str, journal: Journal) -> None:
    users = [[f"{kind}-{process}-{n}" for n in range(40) for kind in ("stay", "go")]
             for process in range(2)]  # fmt: skip
    writers = [_write(url, *names) for names in users]
    for writer in writers:
        output, _ = writer.communicate(timeout=HUNG)
        assert output == "written\n"
        assert writer.returncode == 0
    left = {entry.user for entry in journal.due(time.time(), 1000)}
    assert left == {name for names in users for name in names if name.startswith("stay")}


def test_processes_that_write_all_the_time_each_get_their_turn_in_time(
    url: str, journal: Journal
) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITERS, url, name], stdout=subprocess.PIPE, text=True
        )
        for name in ("one", "two", "three")
    ]
    for writer in writers:
        output, _ = writer.communicate(timeout=HUNG)
        assert output == "no write failed\n"
    assert journal.count_unfinished() == 0
    assert len(journal.given("one-3-74")) == 1


WRITERS = """
import sys, threading, time
from autocreate.errors import Temporary
from autocreate.service.journal import Entry, Journal
journal = Journal(sys.argv[1], time.time)
failed = []
def write(number):
    for turn in range(75):
        user = f"{sys.argv[2]}-{number}-{turn}"
        try:
            journal.begin(Entry(user, "joe@example.org"))
            journal.finish(user, ["folder Sent"])
        except Temporary as error:
            failed.append(str(error))
threads = [threading.Thread(target=write, args=[number]) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(failed[0] if failed else "no write failed", flush=True)
"""


def test_an_entry_that_is_begun_twice_stays_as_it_was(journal: Journal) -> None:
    journal.begin(Entry("joe", "joe@example.org"))
    failed = Entry("joe", "joe@example.org", usable=True, attempts=3, next_try=9.0, error="x")
    journal.fail(failed)
    journal.begin(Entry("joe", "joe@example.org"))
    entry = journal.entry("joe")
    assert entry is not None
    assert (entry.usable, entry.attempts, entry.next_try, entry.error) == (True, 3, 9.0, "x")


def test_a_locked_journal_is_a_doubt_and_is_used_again_once_it_is_free(
    tmp_path: Path, journal: Journal
) -> None:
    journal.begin(Entry("joe", "joe@example.org"))
    locker = [sys.executable, "-c", LOCKER, str(tmp_path / "journal.db")]
    with subprocess.Popen(locker, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(Temporary, match="database is locked"):
            journal.finish("joe")
        process.kill()
    wait_until(lambda: _finishes(journal, "joe"), 30, "the end of the lock")
    assert journal.entry("joe") is None


LOCKER = """
import sqlite3, sys
sqlite3.connect(sys.argv[1], isolation_level=None).execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def _finishes(journal: Journal, user: str) -> bool:
    try:
        journal.finish(user)
    except Temporary:
        return False
    return True
