"""Files are changed whole, remembered, and restored byte for byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autocreate.errors import ConfigurationError
from autocreate.setup import files
from autocreate.setup.files import Record
from autocreate.setup.values import Change

BEFORE = "a = 1\n\udcff\n"  # a byte that is not UTF-8


@pytest.fixture
def main_cf(tmp_path: Path) -> Path:
    path = tmp_path / "main.cf"
    path.write_bytes(BEFORE.encode("utf-8", "surrogateescape"))
    path.chmod(0o604)
    return path


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path / "undo")


def test_a_change_keeps_the_mode_and_can_be_taken_back(main_cf: Path, record: Record) -> None:
    before = main_cf.read_bytes()
    backup = files.apply(Change(str(main_cf), BEFORE, f"{BEFORE}b = 2\n"), record, ("reload",))
    assert main_cf.read_bytes() == before + b"b = 2\n"
    assert main_cf.stat().st_mode & 0o777 == 0o604
    assert backup is not None
    assert backup.read_bytes() == before

    (taken_back,) = files.undo(record)
    assert taken_back.undo == ("reload",)
    assert main_cf.read_bytes() == before
    assert main_cf.stat().st_mode & 0o777 == 0o604
    assert os.listdir(main_cf.parent) == ["main.cf"]
    assert files.undo(record) == []


def test_a_link_stays_one(main_cf: Path, record: Record) -> None:
    link = main_cf.with_name("link.cf")
    link.symlink_to(main_cf)
    files.apply(Change(str(link), BEFORE, "b = 2\n"), record, ())
    assert link.is_symlink()
    assert main_cf.read_text() == "b = 2\n"


def test_nothing_is_taken_back_if_a_file_was_changed_since(main_cf: Path, record: Record) -> None:
    other = main_cf.with_name("master.cf")
    other.write_text("x\n")
    files.apply(Change(str(other), "x\n", "y\n"), record, ())
    files.apply(Change(str(main_cf), BEFORE, "b = 2\n"), record, ())
    main_cf.write_text("c = 3\n")
    with pytest.raises(ConfigurationError, match=r"main.cf was changed since; its copy .*before"):
        files.undo(record)
    assert other.read_text() == "y\n"


def test_two_changes_of_one_file_are_taken_back_in_turn(main_cf: Path, record: Record) -> None:
    before = main_cf.read_bytes()
    files.apply(Change(str(main_cf), BEFORE, "b = 2\n"), record, ())
    files.apply(Change(str(main_cf), "b = 2\n", "c = 3\n"), record, ())
    files.undo(record)
    assert main_cf.read_bytes() == before


def test_a_change_that_was_interrupted_before_it_was_made_is_taken_back(
    main_cf: Path, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = main_cf.read_bytes()
    interrupted: list[Path] = []

    def replace(source: str, target: Path) -> None:
        if Path(target) == main_cf:
            interrupted.append(target)
            raise KeyboardInterrupt
        os.rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        files.apply(Change(str(main_cf), BEFORE, "b = 2\n"), record, ())
    monkeypatch.undo()
    assert interrupted
    assert main_cf.read_bytes() == before

    files.undo(record)
    assert main_cf.read_bytes() == before
    assert os.listdir(main_cf.parent) == ["main.cf"]


def test_a_file_that_was_changed_meanwhile_is_left_alone(main_cf: Path, record: Record) -> None:
    with pytest.raises(ConfigurationError, match="changed meanwhile"):
        files.apply(Change(str(main_cf), "other\n", "b = 2\n"), record, ())
    assert record.read() == []


def test_a_file_that_did_not_exist_is_removed_again(tmp_path: Path, record: Record) -> None:
    path = tmp_path / "sendmail.mc"
    assert files.apply(Change(str(path), "", "x\n"), record, ()) is None
    assert path.read_text() == "x\n"
    files.undo(record)
    assert not path.exists()


def test_a_secret_is_not_for_others(tmp_path: Path) -> None:
    path = tmp_path / "cyrus.secret"
    files.write_private(path, "a secret\n", 0o600)
    assert path.stat().st_mode & 0o037 == 0
