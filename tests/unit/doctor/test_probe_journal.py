"""Can the journal be opened? Nothing is created."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from autocreate.doctor import probe_journal
from autocreate.doctor.findings import Finding, Gravity
from autocreate.doctor.probe_journal import examine, path_of
from autocreate.service.journal import Journal
from autocreate.service.journal_schema import VERSION, Schema


def found(path: Path) -> list[Finding]:
    return list(examine(f"sqlite:///{path}", None))


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/journal.db", Path("/var/lib/journal.db")),
        ("sqlite:///journal.db", None),
        ("postgresql+psycopg://db.test/journal", None),
    ],
)
def test_only_an_absolute_path_of_sqlite_is_a_file(url: str, path: Path | None) -> None:
    assert path_of(url) == path


def test_a_journal_that_opens_or_does_not_exist_yet_has_no_findings(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    assert found(journal) == []
    assert not journal.exists()
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute("CREATE TABLE pending (user)")
        connection.commit()
    assert found(journal) == []
    assert list(tmp_path.iterdir()) == [journal]


def test_a_file_that_is_no_database_is_found(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"garbage" * 1000)
    (finding,) = found(tmp_path / "journal.db")
    assert finding.what.startswith(f"journal.url: {tmp_path}/journal.db cannot be opened: ")
    assert "autocreate audit --trees" in finding.remedy


def test_a_folder_that_does_not_exist_is_found(tmp_path: Path) -> None:
    (finding,) = found(tmp_path / "none/journal.db")
    assert finding.what == f"journal.url: the folder {tmp_path}/none does not exist"


def test_no_permission_to_open_it_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path, _mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "journal.db").touch()
    monkeypatch.setattr(Path, "open", denied)
    (finding,) = found(tmp_path / "journal.db")
    assert finding.what == f"journal.url: {tmp_path}/journal.db cannot be opened: Permission denied"
    assert finding.remedy == "run this as root"


@pytest.mark.parametrize(
    ("statement", "gravity", "what"),
    [
        ("SELECT 1", None, ""),
        (
            f"INSERT INTO schema_version VALUES ({VERSION + 1}, {VERSION + 1}, 0)",
            Gravity.CRITICAL,
            f"version {VERSION + 1} is newer than version {VERSION} of this program, which cannot use",
        ),
        (
            f"INSERT INTO schema_version VALUES ({VERSION + 1}, 1, 0)",
            Gravity.ADVICE,
            f"version {VERSION + 1} is newer than version {VERSION} of this program, which can use",
        ),
        (
            "DROP TABLE schema_version",
            Gravity.WARNING,
            f"version 6 is older than version {VERSION} of this program",
        ),
        ("DROP TABLE given", Gravity.WARNING, "it has no tables given"),
    ],
)
def test_the_version_of_the_journal_is_compared(
    tmp_path: Path, statement: str, gravity: Gravity | None, what: str
) -> None:
    journal = tmp_path / "journal.db"
    Journal(f"sqlite:///{journal}", lambda: 0.0).close()
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute(statement)
    findings = found(journal)
    assert [it.gravity for it in findings] == ([] if gravity is None else [gravity])
    assert all(what in it.what for it in findings)
    assert list(tmp_path.iterdir()) == [journal]


class Pooled:
    """A database behind a pooler; each connection has the next session of `sessions`."""

    sessions: Iterator[int]

    def __init__(self, _options: object) -> None:
        pass

    def select(self, _query: object, _parameters: object) -> list[tuple[int]]:
        return [(next(self.sessions),)]

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "url", ["postgresql://db.test/journal", "mysql://db.test/journal", "mariadb://db.test/journal"]
)
def test_a_pooler_that_gives_two_connections_one_session_is_found(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_journal, "Database", Pooled)
    monkeypatch.setattr(probe_journal, "_at_server", lambda *_: Schema(VERSION))
    Pooled.sessions = iter([7, 8])
    assert list(examine(url, None)) == []
    Pooled.sessions = iter([7, 7])
    (finding,) = examine(url, None)
    assert finding.gravity is Gravity.WARNING
    assert "pool_mode = session" in finding.remedy
