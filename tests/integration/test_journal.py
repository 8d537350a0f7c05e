"""A journal that cannot be used: new users wait (451), and nobody else, at the start no less than later."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import code
from tests.servers.common import wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.postgres import Postgres
from tests.servers.product import Product

# Each is looked up every time, in the journal too.
FORGETFUL = {"milter": {"cache_seconds": 0.001}}
KNOWN = [f"known{number}" for number in range(8)]
DEADLINE = 8.0

Break = Callable[[Postgres], object]


@pytest.fixture(scope="module", autouse=True)
def mailboxes(cyrus: Cyrus) -> None:
    for user in KNOWN:
        cyrus.create(f"user/{user}")


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        server.execute(f"GRANT CREATE ON SCHEMA public TO {server.user}")
        yield server
        server.resume()


def is_known_at_once(product: Product) -> None:
    """200 recipients with a mailbox, asked by eight at a time: nobody is kept waiting for the journal but
    those who ask first, and who try now and then."""

    def timed(number: int) -> tuple[int, float]:
        begun = time.monotonic()
        return code(product, KNOWN[number % len(KNOWN)]), time.monotonic() - begun

    with ThreadPoolExecutor(8) as sessions:
        answers = list(sessions.map(timed, range(200)))
    assert {answer for answer, _ in answers} == {0}
    waits = sorted(seconds for _, seconds in answers)
    assert waits[-1] < DEADLINE
    assert waits[len(waits) * 8 // 10] < 1.0


def is_told(product: Product, remedy: str) -> None:
    """Once for each error, however many were kept waiting. A silent server makes two: it does not answer,
    and it takes no connection."""
    told = re.findall(r"^ERROR journal .*; to fix it, .*$", product.log(), re.MULTILINE)
    assert 1 <= len(told) == len(set(told)) <= 2
    assert all(remedy in line for line in told)


def at_server(postgres: Postgres, *users: str) -> dict[str, Any]:
    secret = postgres.folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(f"{postgres.password}\n")
    journal = {"url": postgres.url, "password_file": str(secret)}
    return {"accounts": [*KNOWN, *users], "settings": {**FORGETFUL, "journal": journal}}


OUTAGES: list[tuple[Break, Break]] = [
    (Postgres.pause, Postgres.resume),
    (Postgres.stop, Postgres.start),
]


@pytest.mark.parametrize(("end", "begin"), OUTAGES, ids=["paused", "stopped"])
def test_a_server_that_is_away_while_it_is_used(
    cyrus: Cyrus, postgres: Postgres, new: str, end: Break, begin: Break
) -> None:
    with Product(cyrus, **at_server(postgres, new)) as product:
        product.start()
        assert code(product, KNOWN[0]) == 0
        end(postgres)
        is_known_at_once(product)
        assert [code(product, user) for user in (new, "nobody")] == [451, 550]
        assert not cyrus.mailboxes(f"user/{new}")
        begin(postgres)
        wait_until(lambda: code(product, new) == 0, 30.0, "the journal", product.log)
        is_told(product, "check that the server answers")


@pytest.mark.parametrize(("end", "begin"), OUTAGES, ids=["paused", "stopped"])
def test_a_server_that_is_away_at_the_start(
    cyrus: Cyrus, postgres: Postgres, new: str, end: Break, begin: Break
) -> None:
    with Product(cyrus, **at_server(postgres, new)) as product:
        end(postgres)
        product.start()
        is_known_at_once(product)
        assert [code(product, user) for user in (new, "nobody")] == [451, 550]
        assert product.reload().endswith(" reloaded")
        is_known_at_once(product)
        begin(postgres)
        wait_until(lambda: code(product, new) == 0, 30.0, "the journal", product.log)


def test_tables_that_are_dropped_at_a_server_are_made_anew(
    cyrus: Cyrus, postgres: Postgres, new: str
) -> None:
    with Product(cyrus, **at_server(postgres, new)) as product:
        product.start()
        postgres.execute("DROP TABLE unfinished, given, seen, hours")
        assert [code(product, user) for user in (KNOWN[0], new)] == [0, 0]
        product.wait_for_log(
            "ERROR journal .* its tables .* were dropped and have been created again"
        )


# -- SQLite ----------------------------------------------------------------------------------


def corrupt(journal: Path) -> None:
    journal.write_bytes(b"this is no database, and longer than a header" * 100)


def folder(journal: Path) -> None:
    """In the place of the file."""
    journal.mkdir()


@pytest.mark.parametrize(
    ("spoil", "remedy"), [(corrupt, "move it away"), (folder, "create its directory")]
)
def test_a_file_that_cannot_be_opened_at_the_start_is_begun_anew_once_it_is_moved_away(
    cyrus: Cyrus, new: str, spoil: Callable[[Path], None], remedy: str
) -> None:
    with Product(cyrus, accounts=[*KNOWN, new], settings=FORGETFUL) as product:
        spoil(product.journal)
        product.start()
        is_known_at_once(product)
        assert [code(product, user) for user in (new, "nobody")] == [451, 550]
        assert product.run("provision", new, "--yes").returncode == 75
        is_told(product, remedy)
        product.journal.rename(product.journal.with_suffix(".bad"))
        assert code(product, new) == 0
        assert not product.unfinished()


def test_a_file_that_cannot_be_written_at_the_start(cyrus: Cyrus, new: str, tmp_path: Path) -> None:
    def contained(*command: str | Path) -> list[str | Path]:
        read_only = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", read_only, tmp_path, *command]

    settings = {**FORGETFUL, "journal": {"url": f"sqlite:///{tmp_path}/journal.db"}}
    with Product(cyrus, accounts=[*KNOWN, new], settings=settings) as product:
        product.start()
        product.stop()
        product.contained = contained
        product.start()
        is_known_at_once(product)
        assert [code(product, user) for user in (new, "nobody")] == [451, 550]


@pytest.mark.parametrize("mode", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_file_that_is_locked(cyrus: Cyrus, new: str, mode: str) -> None:
    with Product(cyrus, accounts=[*KNOWN, new], settings=FORGETFUL) as product:
        product.start()
        with contextlib.closing(sqlite3.connect(product.journal, isolation_level=None)) as other:
            other.execute(f"BEGIN {mode}")
            assert code(product, new) == 451
            is_known_at_once(product)
        wait_until(lambda: code(product, new) == 0, 30.0, "the end of the lock", product.log)


def remove(journal: Path) -> None:
    for file in journal.parent.glob(f"{journal.name}*"):
        file.unlink()


def remove_wal(journal: Path) -> None:
    journal.with_name(f"{journal.name}-wal").unlink()


def drop_tables(journal: Path) -> None:
    with contextlib.closing(sqlite3.connect(journal, isolation_level=None)) as database:
        database.execute("BEGIN")  # else those that are gone are made anew in between
        for table in ("unfinished", "given", "seen", "hours"):
            database.execute(f"DROP TABLE {table}")
        database.execute("COMMIT")


@pytest.mark.parametrize("lose", [remove, remove_wal, drop_tables])
def test_what_is_lost_under_the_running_process_is_made_anew(
    cyrus: Cyrus, new: str, lose: Callable[[Path], None]
) -> None:
    with Product(cyrus, accounts=[*KNOWN, new], settings=FORGETFUL) as product:
        product.start()
        assert code(product, KNOWN[0]) == 0
        lose(product.journal)
        is_known_at_once(product)
        assert code(product, new) == 0
        product.kill()
        with contextlib.closing(sqlite3.connect(product.journal)) as database:
            rows = database.execute("SELECT count(*) FROM given WHERE user = ?", (new,)).fetchone()
        assert rows[0] > 0  # what was written since is in the file that is there now
        told = re.findall(
            r"^ERROR journal .* autocreate audit --trees", product.log(), re.MULTILINE
        )
        assert len(told) == 1
