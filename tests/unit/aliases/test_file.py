"""Aliases in text files that somebody may be writing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from autocreate.aliases.file import AliasesFile, Includes, VirtualFile, Virtusertable
from autocreate.aliases.stages import Found
from autocreate.aliases.syntax import Member
from autocreate.errors import Temporary
from tests.unit.clock import Clock

NOW = 1_000_000.0
FRESH = "was changed less than 2 seconds ago and may be incomplete"


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


def write(path: Path, content: str, when: float = NOW) -> Path:
    path.write_text(content)
    os.utime(path, (when, when))
    return path


VIRTUAL = "joe@a.test ann, bob\n@a.test all\nlist@a.test joe,\n  ki"
ALIASES = "joe: ann, bob\nlist: joe,\n  ki"


@pytest.mark.parametrize(
    ("kind", "text", "last"),
    [(VirtualFile, VIRTUAL, "list@a.test"), (AliasesFile, ALIASES, "LIST")],
)
def test_the_last_entry_of_a_fresh_file_may_have_more_targets(
    kind: Callable[..., VirtualFile], text: str, last: str, tmp_path: Path, clock: Clock
) -> None:
    table = kind("it", write(tmp_path / "aliases", text), clock=clock)
    clock.now += 1.9
    with pytest.raises(Temporary, match=FRESH):
        table.find([last])
    clock.now += 0.1
    assert table.find([last]) == Found(0, "joe, ki")


def test_what_precedes_the_last_entry_of_a_fresh_file_is_whole(
    tmp_path: Path, clock: Clock
) -> None:
    table = VirtualFile("it", write(tmp_path / "virtual", VIRTUAL), clock)
    assert table.find(["joe@a.test", "@a.test"]) == Found(0, "ann, bob")


@pytest.mark.parametrize(
    ("text", "when", "uncertainty"),
    [(VIRTUAL, NOW, FRESH), (VIRTUAL + "\nalone\n", NOW - 60.0, "line 5 has no value")],
)
def test_an_entry_that_is_not_for_the_most_exact_key_comes_with_the_uncertainty_of_that_one(
    text: str, when: float, uncertainty: str, tmp_path: Path, clock: Clock
) -> None:
    found = VirtualFile("it", write(tmp_path / "virtual", text, when), clock).find(
        ["kim@a.test", "@a.test"]
    )
    assert found[:2] == (1, "all")
    assert uncertainty in found.uncertainty


def test_a_virtusertable_is_asked_in_lower_case_and_not_folded(
    tmp_path: Path, clock: Clock
) -> None:
    path = write(tmp_path / "virtusertable", "strasse@a.test joe\n", NOW - 60.0)
    table = Virtusertable("it", path, clock)
    assert table.find(["Strasse@a.test"]) == Found(0, "joe")
    assert table.find(["straße@a.test"]) == Found()


def test_an_included_file_is_temporary_while_it_is_fresh(tmp_path: Path, clock: Clock) -> None:
    members = write(tmp_path / "members", "joe, ki")
    includes = Includes(clock=clock)
    with pytest.raises(Temporary, match=f"members {FRESH}"):
        includes.read(str(members))
    clock.now += 2.0
    assert includes.read(str(members)).members == (Member("joe", 1), Member("ki", 1))


@pytest.mark.parametrize("content", ["", "\n", "# the members\n"])
def test_an_included_file_without_anybody_is_temporary(
    content: str, tmp_path: Path, clock: Clock
) -> None:
    members = write(tmp_path / "members", content, NOW - 60.0)
    with pytest.raises(Temporary, match="members is empty; it may be incomplete"):
        Includes(clock=clock).read(str(members))


def test_an_included_file_must_be_named_by_its_path(clock: Clock) -> None:
    with pytest.raises(Temporary, match="must name an absolute path"):
        Includes(clock=clock).read("members")
