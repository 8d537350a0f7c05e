"""A large or slow file makes nobody wait, and the version before a change refuses nobody."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocreate.aliases.file import AliasesFile
from autocreate.backends import reloading_file
from autocreate.backends.reloading_file import ReloadingFile
from autocreate.errors import Temporary


class Slow:
    """A parser that does not end before it is let go."""

    def __init__(self) -> None:
        self.is_slow = False
        self.go_on = threading.Event()
        self.calls = 0

    def __call__(self, pieces: Iterator[str]) -> str:
        self.calls += 1
        if self.is_slow:
            self.go_on.wait(60.0)
        return "".join(pieces)


def write(path: Path, text: str) -> None:
    path.write_text(text)
    os.utime(path, (1_000_000.0, 1_000_000.0))


def test_while_a_version_is_parsed_the_one_before_answers_at_once(tmp_path: Path) -> None:
    path, parse = tmp_path / "it", Slow()
    write(path, "old")
    file = ReloadingFile(path, parse, at_once=0.01)
    assert file.read()[:2] == ("old", "")
    parse.is_slow = True
    write(path, "newer")
    begun = time.monotonic()
    for _ in range(20):
        found = file.read()
        assert (found.content, found.is_outdated) == ("old", True)
        assert "still being read" in found.uncertainty
    assert time.monotonic() - begun < 5.0
    assert parse.calls == 2
    parse.go_on.set()
    parse.is_slow = False
    while file.read().is_outdated:
        pass
    assert file.read()[:2] == ("newer", "")


def test_lookups_wait_for_a_large_version_once_and_not_each(tmp_path: Path) -> None:
    path, parse = tmp_path / "it", Slow()
    write(path, "old")
    file = ReloadingFile(path, parse, at_once=0.5)
    file.read()
    parse.is_slow = True
    write(path, "newer")
    begun = time.monotonic()
    assert all(file.read().is_outdated for _ in range(20))
    assert 0.5 <= time.monotonic() - begun < 5.0
    parse.go_on.set()


def test_the_version_before_answers_for_seconds_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, parse = tmp_path / "it", Slow()
    write(path, "old")
    file = ReloadingFile(path, parse, at_once=0.01)
    file.read()
    parse.is_slow = True
    write(path, "newer")
    monkeypatch.setattr(reloading_file, "_LONGEST", 0.0)
    with pytest.raises(Temporary, match="still being read"):
        file.read()
    parse.go_on.set()


def test_a_version_without_meaning_is_read_once(tmp_path: Path) -> None:
    reads: list[str] = []
    (tmp_path / "it").write_bytes(b"\xff")
    file = ReloadingFile(tmp_path / "it", reads.extend)
    for _ in range(3):
        with pytest.raises(Temporary, match="cannot be read"):
            file.read()
    assert file._failed[1]
    write(tmp_path / "it", "well")
    file.read()
    assert reads == ["well"]


def test_an_error_of_ours_is_raised_to_whoever_asks(tmp_path: Path) -> None:
    write(tmp_path / "it", "1/0")
    with pytest.raises(ZeroDivisionError):
        ReloadingFile(tmp_path / "it", lambda _: 1 // 0).read()


def test_an_alias_in_an_outdated_version_refuses_nobody(
    tmp_path: Path,
) -> None:
    write(tmp_path / "aliases", "joe: gone\nzed: zed\n")
    table = AliasesFile("it", tmp_path / "aliases")
    assert not table.find(["joe"]).uncertainty
    table._file._parse = slow = Slow()  # type: ignore[assignment]
    slow.is_slow = True
    table._file._at_once = 0.01
    write(tmp_path / "aliases", "joe: ann, bob\n")
    assert table.find(["joe"]).text == "gone"
    assert "still being read" in table.find(["joe"]).uncertainty
    slow.go_on.set()


class Counted:
    """A parser that counts how often it is called, and the pieces."""

    def __init__(self) -> None:
        self.calls = 0
        self.pieces: list[str] = []

    def __call__(self, pieces: Iterator[str]) -> str:
        self.calls += 1
        self.pieces = list(pieces)
        return "".join(self.pieces)


@pytest.mark.parametrize("how", ["touched", "replaced", "written again"])
def test_a_file_with_the_same_bytes_is_not_parsed_again(tmp_path: Path, how: str) -> None:
    path, parse = tmp_path / "it", Counted()
    write(path, "joe")
    file = ReloadingFile(path, parse)
    before = file.read()
    if how == "replaced":
        (tmp_path / "new").write_text("joe")
        (tmp_path / "new").replace(path)
    elif how == "written again":
        path.write_text("joe")
    else:
        path.touch()
    again = file.read()
    assert again.content is before.content
    # It may be the first part of a longer text.
    assert "changed less than 2 seconds ago" in again.uncertainty
    assert parse.calls == 1
    write(path, "ann")
    assert file.read().content == "ann"


def test_a_file_with_the_same_bytes_may_have_another_owner(tmp_path: Path) -> None:
    write(tmp_path / "it", "joe")
    file = ReloadingFile(tmp_path / "it", "".join)
    assert file.read().owner == os.getuid()
    os.chown(tmp_path / "it", 65534, -1)
    assert file.read().owner == 65534


def test_a_large_text_comes_in_pieces_of_whole_lines(tmp_path: Path) -> None:
    parse = Counted()
    text = "\r\n".join(f"é{number}" for number in range(20_000)) + "\rlast"
    (tmp_path / "it").write_bytes(b"\xef\xbb\xbf" + text.encode())
    read = ReloadingFile(tmp_path / "it", parse).read()
    assert read.content == text.replace("\r\n", "\n").replace("\r", "\n")
    assert len(parse.pieces) > 1
    assert all(piece.endswith("\n") for piece in parse.pieces[:-1])


def test_a_byte_that_is_not_utf_8_is_told_by_its_position_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"joe\n" * 100_000 + b"jos\xe9\n")
    with pytest.raises(Temporary, match="'utf-8' codec can't decode byte 0xe9 in position 400,003"):
        ReloadingFile(tmp_path / "it", "".join).read()


def test_after_loading_no_lookup_reads_the_file(tmp_path: Path) -> None:
    path, parse = tmp_path / "it", Counted()
    write(path, "joe")
    file = ReloadingFile(path, parse)
    file.load(time.monotonic() + 60.0)
    assert parse.calls == 1
    file.load(time.monotonic() + 60.0)
    assert file.read().content == "joe"
    assert parse.calls == 1


def test_loading_ends_where_a_file_cannot_be_read_or_takes_too_long(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ReloadingFile(tmp_path / "none", "".join).load(time.monotonic() + 60.0)
    (tmp_path / "bad").write_bytes(b"\xff")
    ReloadingFile(tmp_path / "bad", "".join).load(time.monotonic() + 60.0)
    assert not caplog.records
    write(tmp_path / "it", "joe")
    parse = Slow()
    parse.is_slow = True
    file = ReloadingFile(tmp_path / "it", parse)
    file.load(time.monotonic() - 1.0)
    assert "it is still being read" in caplog.text
    parse.go_on.set()
    assert file.read().content == "joe"
