"""How single account databases break, and that a break is never taken for a no."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from autocreate.accounts.cached import CachedSource, Limits
from autocreate.accounts.directory import Directory
from autocreate.backends.options import SqlOptions
from autocreate.backends.sql import Database
from autocreate.errors import ConfigurationError, Temporary
from autocreate.model import Account
from tests.configured import account_source
from tests.servers.common import wait_until

from .databases import Sqlite, moved_away


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Sqlite]:
    made = Sqlite(tmp_path)
    made.put({"joe": [], "kim": []})
    yield made
    made.source.close()


def _is_temporary(database: Sqlite) -> None:
    for user in ("joe", "nobody-of-this-name"):
        with pytest.raises(Temporary):
            database.source.lookup(user)


def test_an_sqlite_file_that_is_missing_is_temporary_and_is_not_made(sqlite: Sqlite) -> None:
    with moved_away(sqlite.file):
        _is_temporary(sqlite)
        assert not sqlite.file.exists()


@pytest.mark.parametrize(
    "content", [b"", b"no database " * 1000, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_an_sqlite_file_that_is_no_database_is_temporary(sqlite: Sqlite, content: bytes) -> None:
    with moved_away(sqlite.file):
        sqlite.file.write_bytes(content)
        _is_temporary(sqlite)
        sqlite.file.unlink()
    assert sqlite.source.lookup("joe") == Account("joe", "it")


def test_an_sqlite_file_that_is_locked_is_temporary_until_it_is_free(sqlite: Sqlite) -> None:
    with contextlib.closing(sqlite3.connect(sqlite.file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        _is_temporary(sqlite)
    assert sqlite.source.lookup("joe") == Account("joe", "it")


def test_an_sqlite_file_that_is_locked_costs_users_of_later_sources_its_timeout_once(
    sqlite: Sqlite, tmp_path: Path
) -> None:
    (tmp_path / "later").mkdir()
    later = Sqlite(tmp_path / "later")
    users = [f"user{number}" for number in range(50)]
    later.put({user: [] for user in users})
    later.source.name = "later"
    both = Directory(
        [CachedSource(it.source, Limits(60.0, 10.0, 2.0, 10_000)) for it in (sqlite, later)]
    )
    with contextlib.closing(sqlite3.connect(sqlite.file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        assert all(both.find(user) for user in users)
        assert time.monotonic() - begun < 15.0  # of 50, each a second
        with pytest.raises(Temporary, match="database is locked"):
            both.find("joe")
    wait_until(lambda: _found(both, "joe"), 30.0, "the end of the lock")
    assert both.find("nobody") is None
    later.source.close()


def _found(directory: Directory, user: str) -> bool:
    with contextlib.suppress(Temporary):
        return directory.find(user) is not None
    return False


def test_an_sqlite_file_that_is_replaced_is_read_anew(sqlite: Sqlite, tmp_path: Path) -> None:
    assert sqlite.source.lookup("zoe") is None
    (tmp_path / "new").mkdir()
    replacement = Sqlite(tmp_path / "new")
    replacement.put({"zoe": []})
    replacement.file.rename(sqlite.file)
    assert sqlite.source.lookup("zoe") == Account("zoe", "it")
    assert sqlite.source.lookup("joe") is None


def test_an_sqlite_file_that_is_replaced_while_it_is_opened_is_read_anew(
    sqlite: Sqlite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new").mkdir()
    replacement = Sqlite(tmp_path / "new")
    replacement.put({"zoe": []})
    connect = sqlite3.connect

    def interrupted(*arguments: Any, **named: Any) -> Any:
        connection = connect(*arguments, **named)
        if replacement.file.exists():
            replacement.file.rename(sqlite.file)
        return connection

    monkeypatch.setattr(sqlite3, "connect", interrupted)
    assert sqlite.source.lookup("zoe") == Account("zoe", "it")
    assert sqlite.source.lookup("joe") is None


@pytest.mark.parametrize("file", ["{path}", "file:{path}?uri=true", "file://{path}?uri=true"])
def test_an_sqlite_file_with_an_odd_name_is_kept_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    folder = tmp_path / "ä % b"
    folder.mkdir()
    made = Sqlite(folder)
    made.put({"joe": []})
    opened: list[object] = []
    connect = sqlite3.connect

    def noting(*arguments: Any, **named: Any) -> Any:
        opened.append(arguments)
        return connect(*arguments, **named)

    monkeypatch.setattr(sqlite3, "connect", noting)
    path = quote(str(made.file)) if file.startswith("file:") else str(made.file)
    query = "SELECT userid FROM accounts WHERE userid = :user"
    source = account_source("sql", url=f"sqlite:///{file.format(path=path)}", query=query)
    assert source.lookup("joe") == Account("joe", "it")
    assert opened
    opened.clear()
    for _ in range(3):
        assert source.lookup("joe") == Account("joe", "it")
    assert not opened
    source.close()


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("SELECT userid FROM accounts WHERE :user = :user", "2 rows"),
        ("SELECT NULL WHERE :user = :user", "spelled as Cyrus spells it"),
        ("SELECT userid || ' ' FROM accounts WHERE userid = :user", "spelled as Cyrus spells it"),
        ("SELECT 1 FROM accounts WHERE userid = :user", "spelled as Cyrus spells it"),
        ("SELECT nosuch FROM accounts WHERE userid = :user", "no such column"),
        ("SELEKT :user", "syntax error"),
    ],
)
def test_a_query_that_answers_something_else_is_temporary(
    sqlite: Sqlite, query: str, complaint: str
) -> None:
    source = account_source("sql", url=f"sqlite:///{sqlite.file}", query=query)
    with pytest.raises(Temporary, match=complaint):
        source.lookup("joe")
    source.close()


def test_a_url_that_is_none_is_told_without_the_password_in_it() -> None:
    options = SqlOptions("accounts.it", "mysql://u:secret@localhost:port/mail", None, 2.0, 1)
    with pytest.raises(ConfigurationError, match="url: its port is not a number") as raised:
        Database(options)
    assert "secret" not in str(raised.value)


def test_an_option_that_a_driver_lacks_is_temporary_in_words() -> None:
    source = account_source("sql", url="mysql://u@127.0.0.1:1/mail?nosuch=1", query="SELECT :user")
    with pytest.raises(Temporary, match=r"an option in the URL that the driver lacks: .*nosuch"):
        source.lookup("joe")
