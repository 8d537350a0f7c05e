"""A large or slow file makes nobody wait, and the version before a change refuses nobody."""

from __future__ import annotations

import os
import threading
import time
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

    def __call__(self, text: str) -> str:
        self.calls += 1
        if self.is_slow:
            self.go_on.wait(60.0)
        return text


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
    file = ReloadingFile(tmp_path / "it", reads.append)
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
