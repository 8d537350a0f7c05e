"""What the milter's user may read, tried as that user."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from autocreate.doctor.permissions import UnixUser
from autocreate.doctor.probe_files import can_check, examine

MILTER = UnixUser("autocreate", 107, frozenset({113, 8}))


@pytest.fixture
def denied(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """The tests that fail: an option of test(1), and a path."""
    fails: set[tuple[str, str]] = set()

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert (options["user"], options["group"], options["extra_groups"]) == (107, 8, [8, 113])
        return subprocess.CompletedProcess(command, (command[1], command[2]) in fails)

    monkeypatch.setattr(subprocess, "run", run)
    return fails


def found(journal: Path | None = None) -> list[str]:
    files = [("cyrus.password_file", Path("/etc/autocreate/secret"))]
    return [it.what for it in examine([MILTER], files, journal)]


def test_a_file_that_the_user_may_not_read_is_found(denied: set[tuple[str, str]]) -> None:
    assert found() == []
    denied.add(("-r", "/etc/autocreate/secret"))
    assert found() == ["cyrus.password_file: user autocreate may not read /etc/autocreate/secret"]


def test_the_first_folder_that_the_user_may_not_enter_is_named(
    denied: set[tuple[str, str]],
) -> None:
    denied |= {("-r", "/etc/autocreate/secret"), ("-x", "/etc/autocreate")}
    assert found() == [
        "cyrus.password_file: user autocreate may not enter /etc/autocreate, so it cannot read "
        "/etc/autocreate/secret"
    ]


def test_the_journals_folder_must_be_writable_and_the_journal_if_it_exists(
    denied: set[tuple[str, str]], tmp_path: Path
) -> None:
    journal = tmp_path / "journal.db"
    denied.add(("-w", str(journal)))
    assert found(journal) == []
    journal.touch()
    assert found(journal) == [f"journal.url: user autocreate may not write to {journal}"]
    denied.add(("-w", str(tmp_path)))
    assert found(journal) == [f"journal.url: user autocreate may not write to {tmp_path}"]


def test_root_may_do_everything_and_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", None)
    root = UnixUser("root", 0, frozenset({0}))
    assert list(examine([root], [("key", Path("/nonexistent"))], None)) == []


def test_only_root_can_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert can_check([MILTER])
    assert not can_check([])
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert not can_check([MILTER])
