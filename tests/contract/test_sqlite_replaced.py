"""An SQLite file of accounts or aliases is replaced while it is read, in every way that people do it.

Who is in the new file is known at once, and who is in the old file and in the new one is never unknown.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from autocreate.accounts import AccountSource
from autocreate.aliases.tables import AliasTable
from autocreate.errors import Temporary
from tests.configured import account_source, alias_table
from tests.servers.common import wait_until

# Of several pages, so that a file which is half of one and half of another has parts of both.
CROWD = [f"user{number:05}" for number in range(2000)]


class Place:
    """A file of users, and what reads it."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.file = folder / "people.db"
        self._kind = kind
        self.build(self.file, ["joe", "kim"])
        self._source, self._table = self._open(2.0)

    def knows(self, user: str) -> bool:
        if self._kind == "accounts":
            return self._source.lookup(user) is not None
        return self._table.find([user]).position == 0

    def hurry(self) -> None:
        """Wait for nobody for longer than half a second."""
        self.close()
        self._source, self._table = self._open(0.5)

    def close(self) -> None:
        self._source.close()
        self._table.close()

    def build(self, file: Path, users: Sequence[str], mode: str = "delete") -> None:
        """A new file. Two that are built alike have the same counters in their headers."""
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
            database.execute(f"PRAGMA journal_mode={mode}")
            database.execute("CREATE TABLE people (name TEXT PRIMARY KEY, target TEXT)")
            add(database, *users)

    def _open(self, timeout: float) -> tuple[AccountSource, AliasTable]:
        keys: dict[str, Any] = {"url": f"sqlite:///{self.file}", "timeout": timeout}
        return (
            account_source("sql", query="SELECT name FROM people WHERE name = :user", **keys),
            alias_table("sql", query="SELECT target FROM people WHERE name = :key", **keys),
        )


def add(database: sqlite3.Connection, *users: str) -> None:
    """As one commit."""
    with database:
        database.execute("BEGIN")
        rows = [(user, f"{user}@example.org") for user in users]
        database.executemany("INSERT INTO people VALUES (?, ?)", rows)


@pytest.fixture(params=["accounts", "aliases"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = Place(request.param, tmp_path)
    yield made
    made.close()


def new_file(place: Place, mode: str = "delete") -> Path:
    file = place.file.with_name("new.db")
    place.build(file, ["zoe", "kim"], mode)
    return file


def copied(place: Place) -> None:
    subprocess.run(["cp", new_file(place), place.file], check=True)


def copied_with_the_time_of_the_old_one(place: Place) -> None:
    old = place.file.stat()
    copied(place)
    os.utime(place.file, ns=(old.st_atime_ns, old.st_mtime_ns))


def moved(place: Place) -> None:
    subprocess.run(["mv", new_file(place), place.file], check=True)


def written_in_place(place: Place) -> None:
    """As rsync --inplace and scp do: without a truncation before."""
    command = ["dd", f"if={new_file(place)}", f"of={place.file}", "conv=notrunc", "bs=512"]
    subprocess.run(command, check=True, capture_output=True)


def truncated_and_written(place: Place) -> None:
    place.file.write_bytes(new_file(place).read_bytes())


def removed_and_copied(place: Place) -> None:
    new = new_file(place)
    place.file.unlink()
    shutil.copy(new, place.file)


def a_link_that_is_switched(place: Place) -> None:
    old, link = place.file.with_name("old.db"), place.file.with_name("link")
    place.file.rename(old)
    place.file.symlink_to(old)
    assert not place.knows("zoe")
    link.symlink_to(new_file(place))
    link.rename(place.file)


def restored(place: Place) -> None:
    """As `.restore` of sqlite3(1) does."""
    with (
        contextlib.closing(sqlite3.connect(new_file(place))) as new,
        contextlib.closing(sqlite3.connect(place.file)) as old,
    ):
        new.backup(old)


def written_by_sqlite(place: Place) -> None:
    with contextlib.closing(sqlite3.connect(place.file, isolation_level=None)) as database:
        database.execute("DELETE FROM people WHERE name = 'joe'")
        add(database, "zoe")
        database.execute("VACUUM")


def turned_to_wal(place: Place) -> None:
    with contextlib.closing(sqlite3.connect(place.file, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=wal")
        database.execute("DELETE FROM people WHERE name = 'joe'")
        add(database, "zoe")


WAYS = [
    copied,
    copied_with_the_time_of_the_old_one,
    moved,
    written_in_place,
    truncated_and_written,
    removed_and_copied,
    a_link_that_is_switched,
    restored,
    written_by_sqlite,
    turned_to_wal,
]


@pytest.mark.parametrize("replace", WAYS)
def test_a_file_that_is_replaced_is_read_anew(
    place: Place, replace: Callable[[Place], None]
) -> None:
    assert [place.knows(user) for user in ("joe", "kim", "zoe")] == [True, True, False]
    replace(place)
    assert [place.knows(user) for user in ("joe", "kim", "zoe")] == [False, True, True]


@pytest.mark.parametrize("replace", WAYS)
def test_so_is_one_that_was_in_wal_mode(place: Place, replace: Callable[[Place], None]) -> None:
    """Its reader has left an empty -wal and a -shm beside it."""
    place.file.unlink()
    place.build(place.file, ["joe", "kim"], "wal")
    assert [place.knows(user) for user in ("joe", "kim", "zoe")] == [True, True, False]
    replace(place)
    assert [place.knows(user) for user in ("joe", "kim", "zoe")] == [False, True, True]


def test_a_program_that_ends_takes_its_wal_along_though_we_read(place: Place) -> None:
    """Or it would be taken for that of the file which is copied there next."""
    place.file.unlink()
    place.build(place.file, ["joe"], "wal")
    with contextlib.closing(sqlite3.connect(place.file, isolation_level=None)) as program:
        add(program, "ann")
        assert place.knows("ann")
        assert not place.knows("zoe")
        assert place.file.with_name("people.db-wal").stat().st_size
    assert not place.file.with_name("people.db-wal").exists()
    copied(place)
    assert place.knows("zoe")


@pytest.mark.parametrize("replace", [copied, moved])
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_beside_the_wal_of_another_database_nobody_of_the_new_one_is_unknown(
    place: Place, replace: Callable[[Place], None], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite takes that -wal for the new file's, whichever program asks."""
    build = place.build
    place.file.unlink()
    monkeypatch.setattr(place, "build", lambda file, users, _mode="": build(file, users, mode))
    build(place.file, ["joe", "kim"], "wal")
    with contextlib.closing(sqlite3.connect(place.file, isolation_level=None)) as program:
        add(program, *CROWD)
        assert place.knows("joe")
        replace(place)
        with pytest.raises(Temporary, match=r"remove .*people\.db-wal and .*people\.db-shm"):
            place.knows("zoe")
        assert place.knows("kim")
        assert not place.knows("nobody")
    for end in ("-wal", "-shm"):
        place.file.with_name(f"people.db{end}").unlink(missing_ok=True)
    place.file.with_name("new.db").unlink(missing_ok=True)
    replace(place)
    assert [place.knows(user) for user in ("joe", "kim", "zoe")] == [False, True, True]


def test_a_wal_that_was_written_back_is_no_reason_to_doubt(place: Place) -> None:
    place.file.unlink()
    place.build(place.file, ["joe"], "wal")
    with contextlib.closing(sqlite3.connect(place.file, isolation_level=None)) as program:
        add(program, "ann")
        program.execute("PRAGMA wal_checkpoint")
        assert [place.knows(user) for user in ("joe", "ann", "zoe")] == [True, True, False]
        add(program, "zoe")
        assert place.knows("zoe")


# Begins to change every row, on more pages than it has memory for, and is killed.
KILLED = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size=5")
database.execute("BEGIN")
database.execute("UPDATE people SET name = name || 'x'")
os.kill(os.getpid(), 9)
"""


def test_what_a_program_that_was_killed_has_left_half_written_is_temporary(place: Place) -> None:
    with contextlib.closing(sqlite3.connect(place.file, isolation_level=None)) as database:
        add(database, *CROWD)
    assert place.knows(CROWD[0])
    subprocess.run([sys.executable, "-c", KILLED, place.file], check=False)
    for user in (CROWD[0], "nobody"):
        with pytest.raises(Temporary, match=r"left .*people\.db-journal: open the file once with"):
            place.knows(user)
    with contextlib.closing(sqlite3.connect(place.file)) as database:
        database.execute("SELECT * FROM people").fetchone()
    assert [place.knows(user) for user in (CROWD[0], "nobody")] == [True, False]


def test_a_copy_that_is_short_so_far_makes_nobody_unknown(place: Place) -> None:
    new = new_file(place)
    with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as database:
        add(database, *CROWD)
    content = new.read_bytes()
    with place.file.open("wb") as file:
        for part in (0, 100, 4096, len(content) // 2, len(content) - 4096):
            file.seek(0)
            file.write(content[:part])
            file.flush()
            for user in ("kim", "nobody"):
                with pytest.raises(Temporary):
                    place.knows(user)
        file.seek(0)
        file.write(content)
    assert [place.knows(user) for user in ("kim", "zoe", "nobody")] == [True, True, False]


def test_while_copies_are_made_in_place_nobody_who_is_in_all_of_them_is_unknown(
    place: Place,
) -> None:
    """Halfway they are files that SQLite takes for whole ones."""
    files = [place.file.with_name(f"{number}.db") for number in range(2)]
    place.build(files[0], CROWD)
    place.build(files[1], CROWD[::-1])
    contents = [file.read_bytes() for file in files]
    shutil.copy(files[0], place.file)
    place.hurry()
    ended = threading.Event()

    def copy() -> None:
        with place.file.open("r+b", buffering=0) as file:
            for turn in range(1, 9):
                ended.wait(0.4)
                file.seek(0)
                for start in range(0, len(contents[0]), 4096):
                    file.write(contents[turn % 2][start : start + 4096])
                    ended.wait(0.005)  # so that the other thread has its turns
        ended.set()

    asked = 0
    copier = threading.Thread(target=copy)
    copier.start()
    while not ended.is_set():
        asked += 1
        with contextlib.suppress(Temporary):
            assert place.knows(CROWD[asked * 37 % len(CROWD)])
    copier.join()
    assert asked > 1
    # On a busy machine the breaker may still be waiting for its next look.
    wait_until(lambda: _knows_again(place, CROWD[0]), 20.0, "an answer")


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_program_that_commits_all_the_time_leaves_no_uncertainty(place: Place, mode: str) -> None:
    place.file.unlink()
    place.build(place.file, ["joe"], mode)
    ended = threading.Event()

    def commit() -> None:
        with contextlib.closing(sqlite3.connect(place.file, isolation_level=None)) as database:
            while not ended.wait(0.02):
                database.execute("UPDATE people SET target = target || 'x'")

    program = threading.Thread(target=commit)
    program.start()
    try:
        for _ in range(10):
            assert place.knows("joe")
            assert not place.knows("nobody")
    finally:
        ended.set()
        program.join()


def test_a_file_that_is_written_all_the_time_by_no_program_of_sqlites_is_temporary_in_time(
    place: Place,
) -> None:
    place.hurry()
    content = place.file.read_bytes()
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(0.01):
            with place.file.open("r+b") as file:
                file.write(content)

    program = threading.Thread(target=write)
    program.start()
    begun = time.monotonic()
    try:
        for _ in range(2):
            with pytest.raises(Temporary, match=r"people\.db.* was being written for 0\.5 s"):
                place.knows("joe")
    finally:
        ended.set()
        program.join()
    assert time.monotonic() - begun < 5.0
    wait_until(lambda: _knows_again(place), 20.0, "an answer")


def _knows_again(place: Place, user: str = "joe") -> bool:
    with contextlib.suppress(Temporary):
        return place.knows(user)
    return False


def test_a_locked_file_of_aliases_costs_the_next_who_ask_nothing(tmp_path: Path) -> None:
    place = Place("aliases", tmp_path)
    with contextlib.closing(sqlite3.connect(place.file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Temporary, match="database is locked"):
            place.knows("joe")
        for _ in range(3):
            with pytest.raises(Temporary, match=r"is not retried yet; last error: .* is locked"):
                place.knows("joe")
    wait_until(lambda: _knows_again(place), 20.0, "an answer")
    place.close()


def test_a_clock_that_was_set_back_does_not_make_a_file_one_that_is_written(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour_ago = time.time() - 3600
    monkeypatch.setattr(time, "time", lambda: hour_ago)
    assert [place.knows(user) for user in ("joe", "zoe")] == [True, False]
    copied(place)
    assert [place.knows(user) for user in ("joe", "zoe")] == [False, True]


def test_a_list_of_a_file_that_is_replaced_meanwhile_is_none(tmp_path: Path) -> None:
    place = Place("accounts", tmp_path)
    source = account_source(
        "sql",
        url=f"sqlite:///{place.file}",
        query="SELECT name FROM people WHERE name = :user",
        list_query="SELECT name FROM people ORDER BY name",
    )
    for replace, outcome in ((lambda _: None, contextlib.nullcontext()), (copied, CANNOT_TELL)):
        names = source.names()
        assert names is not None
        assert next(names) == "joe"
        replace(place)
        with outcome:
            assert list(names) == ["kim"]
    place.close()
    source.close()


CANNOT_TELL = pytest.raises(Temporary, match=r"people\.db.* was replaced while it was read")
