"""Whoever writes the SQLite file can neither fill our memory nor use our functions."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from autocreate.backends.sqlite import SqliteReader
from autocreate.errors import Temporary
from autocreate.resilience.answer_limit import MOST

QUERY = sa.text("SELECT value FROM members WHERE list = :list")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[SqliteReader]:
    file = tmp_path / "aliases.db"
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE members (list TEXT, value TEXT)")
        database.execute("INSERT INTO members VALUES ('value', hex(zeroblob(?)))", (8 * MOST,))
        database.execute(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT ?)"
            " INSERT INTO members SELECT 'rows', 'member' || n FROM numbers",
            (MOST // 10,),
        )
        database.executemany("INSERT INTO members VALUES ('usual', ?)", [("ann",), ("joe",)])
    reader = SqliteReader(sa.make_url(f"sqlite:///{file}"), timeout=10.0, connections=1)
    yield reader
    reader.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("value", "too big"), ("rows", f"the answer has more than {MOST} bytes")],
)
def test_an_answer_that_is_too_large_is_an_error(
    reader: SqliteReader, answer: str, reason: str
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Temporary, match=reason):
            reader.select(QUERY, {"list": answer})
        assert tracemalloc.get_traced_memory()[1] < 4 * MOST
    finally:
        tracemalloc.stop()


def test_after_it_the_file_answers_as_before(reader: SqliteReader) -> None:
    with pytest.raises(Temporary):
        reader.select(QUERY, {"list": "rows"})
    assert reader.select(QUERY, {"list": "usual"}) == (("value",), [("ann",), ("joe",)])


def test_a_view_of_the_file_cannot_call_our_functions(reader: SqliteReader) -> None:
    # A regular expression that takes hours, while no other thread runs.
    with closing(sqlite3.connect(reader.path)) as database, database:
        database.execute("ALTER TABLE members RENAME TO real")
        database.execute(
            "CREATE VIEW members AS SELECT * FROM real WHERE hex(zeroblob(30)) || '!' REGEXP '(0+)+$'"
        )
    with pytest.raises(Temporary, match="unsafe use of REGEXP"):
        reader.select(QUERY, {"list": "usual"})


def test_the_administrators_query_can(reader: SqliteReader) -> None:
    query = sa.text("SELECT value FROM members WHERE list = :list AND value REGEXP '^a'")
    assert reader.select(query, {"list": "usual"}) == (("value",), [("ann",)])
