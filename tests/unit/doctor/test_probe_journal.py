"""Can the journal be opened? Nothing is created."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from autocreate.doctor.findings import Finding
from autocreate.doctor.probe_journal import examine, path_of


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
