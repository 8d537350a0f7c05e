"""What the milter's user may read, tried as that user."""

from __future__ import annotations

import grp
import os
import pwd
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


def test_a_hook_that_the_user_may_not_run_is_found(denied: set[tuple[str, str]]) -> None:
    def hooks() -> list[tuple[str, str]]:
        programs = [("policy[1].on_created", Path("/usr/local/lib/autocreate/hook"))]
        found = examine([MILTER], [], None, programs)
        return [(it.what, it.remedy.partition(";")[0]) for it in found]

    assert hooks() == []
    may_not = "policy[1].on_created: user autocreate may not run /usr/local/lib/autocreate/hook"
    denied.add(("-x", "/usr/local/lib/autocreate/hook"))
    assert hooks() == [(may_not, "chmod o+x /usr/local/lib/autocreate/hook")]
    denied.add(("-x", "/usr/local/lib/autocreate"))
    because = f"{may_not}, because it may not enter /usr/local/lib/autocreate"
    assert hooks() == [(because, "chmod o+x /usr/local/lib/autocreate")]


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


def remedy(path: str = "/etc/autocreate/secret", journal: Path | None = None) -> str:
    (finding,) = examine([MILTER], [("cyrus.password_file", Path(path))], journal)
    return finding.remedy


def test_no_remedy_opens_a_secret_to_everybody_or_gives_a_home_away(
    denied: set[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = pwd.struct_passwd(("autocreate", "x", 107, 113, "", "/", "/"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: own)
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group((f"g{gid}", "x", gid, [])))
    denied |= {("-r", "/etc/autocreate/secret"), ("-r", "/root/secret"), ("-r", "/srv/mail/secret")}
    assert remedy() == "chgrp g113 /etc/autocreate/secret; chmod g+r /etc/autocreate/secret"
    denied |= {("-x", "/root"), ("-x", "/srv/mail")}
    assert remedy("/srv/mail/secret") == "chmod o+x /srv/mail"
    assert (
        remedy("/root/secret")
        == "move it to /etc/autocreate, and name it there: cyrus.password_file"
    )


def test_a_folder_that_others_use_too_is_never_given_to_the_milters_user(
    denied: set[tuple[str, str]], tmp_path: Path
) -> None:
    journal = tmp_path / "journal.db"
    (tmp_path / "journal.db-wal").touch()
    denied.add(("-w", str(tmp_path)))
    assert remedy(journal=journal) == f"chown autocreate {tmp_path}"
    (tmp_path / "dpkg").mkdir()
    assert remedy(journal=journal).startswith("install -d -o autocreate -g ")
    assert remedy(journal=journal).endswith(
        f'{tmp_path}/autocreate; autocreate.toml: journal.url = "sqlite:///{tmp_path}/autocreate/journal.db"'
    )


def test_a_read_only_file_system_is_told_from_a_missing_permission(
    denied: set[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied.add(("-w", str(tmp_path)))
    status = os.statvfs(tmp_path)
    read_only = os.statvfs_result((*status[:8], status.f_flag | os.ST_RDONLY, *status[9:]))
    monkeypatch.setattr(os, "statvfs", lambda _path: read_only)
    assert found(tmp_path / "journal.db") == [
        f"journal.url: {tmp_path} is on a read-only file system"
    ]


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
