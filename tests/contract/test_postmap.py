"""What postmap(1) says of every type of table that Debian's Postfix has, and what is made of it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from autocreate.aliases import postmap
from autocreate.aliases.postmap import PostmapTable
from autocreate.aliases.stages import Found
from autocreate.errors import Temporary
from tests.servers.common import aged, run


def postmap_table(
    map_: str, etc: Path, timeout: float = 30.0
) -> PostmapTable:  # the machine may be busy
    return PostmapTable("it", map=map_, config_directory=etc, timeout=timeout)


TEXT = "sales@example.org joe, kim\n@catch.test bob\n#odd@example.org lee\n"

ABSENT = ["nobody@example.org", "@example.org"]


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A place with a main.cf of nothing, since this machine need not be a mail server."""
    (tmp_path / "main.cf").touch()
    return tmp_path


def text(etc: Path, content: str = TEXT) -> Path:
    path = etc / "virtual"
    path.write_text(content)
    return aged(path)


def compiled(kind: str) -> Callable[[Path], str]:
    def make(etc: Path) -> str:
        run(["postmap", "-c", etc, f"{kind}:{text(etc)}"])
        return f"{kind}:{text(etc)}"

    return make


def texthash(etc: Path) -> str:
    return f"texthash:{text(etc)}"


def regexp(etc: Path) -> str:
    return f"regexp:{text(etc, '/^sales@/ joe, kim' + chr(10) + '/^@catch/ bob' + chr(10))}"


def inline(_etc: Path) -> str:
    return "inline:{ {sales@example.org = joe, kim}, {@catch.test = bob} }"


def sqlite(etc: Path) -> str:
    with closing(sqlite3.connect(etc / "aliases.db")) as database, database:
        database.execute("CREATE TABLE aliases (name TEXT, target TEXT)")
        database.executemany(
            "INSERT INTO aliases VALUES (?, ?)",
            [("sales@example.org", "joe"), ("sales@example.org", "kim"), ("@catch.test", "bob")],
        )
    (etc / "sqlite.cf").write_text(
        f"dbpath = {etc}/aliases.db\nquery = SELECT target FROM aliases WHERE name = '%s'\n"
    )
    return f"sqlite:{etc}/sqlite.cf"


MAKERS = {
    "hash": compiled("hash"),
    "btree": compiled("btree"),
    "lmdb": compiled("lmdb"),
    "texthash": texthash,
    "regexp": regexp,
    "inline": inline,
    "sqlite": sqlite,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_the_first_of_the_keys_that_a_table_has_is_found(kind: str, etc: Path) -> None:
    table = postmap_table(MAKERS[kind](etc), etc)
    assert table.find(["sales@example.org", "@catch.test"])[:2] in (
        (0, "joe, kim"),
        (0, "joe,kim"),
    )
    assert table.find(["nobody@example.org", "@catch.test"]) == Found(1, "bob")
    assert table.find(ABSENT) == Found()


def test_many_addresses_are_answered_at_once(etc: Path) -> None:
    table = postmap_table(compiled("hash")(etc), etc)
    absent = [[f"member-{number}@example.org", "@example.org"] for number in range(2000)]
    answers = table.find_many([*absent, ["x@catch.test", "@catch.test"], ["sales@example.org"]])
    assert answers == [Found()] * 2000 + [Found(1, "bob"), Found(0, "joe, kim")]


@pytest.mark.parametrize("key", ['"two words"@example.org', "#odd@example.org", "a\\b@x", "*@x"])
def test_odd_keys_are_asked_for_as_they_are(key: str, etc: Path) -> None:
    static = postmap_table("static:{found it}", etc)
    assert static.find([key]) == Found(0, "found it")
    assert postmap_table(compiled("hash")(etc), etc).find([key]) == Found()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("hash:{etc}/absent", "absent.db: No such file or directory"),
        ("texthash:{etc}/absent", "absent: No such file or directory"),
        ("fail:always", "query error"),
        ("nonsense:{etc}/virtual", "unsupported dictionary type: nonsense"),
        ("sqlite:{etc}/broken.cf", "open database.*: unable to open database file"),
    ],
)
def test_a_table_that_cannot_be_asked_is_temporary_with_postfixs_words(
    table: str, words: str, etc: Path
) -> None:
    (etc / "broken.cf").write_text(f"dbpath = {etc}/none/at.all\nquery = SELECT 1\n")
    with pytest.raises(Temporary, match=words):
        postmap_table(table.format(etc=etc), etc).find(ABSENT)


def test_what_postfix_skips_with_a_warning_is_temporary_about_what_is_not_found(etc: Path) -> None:
    broken = postmap_table(f"texthash:{text(etc, TEXT + 'alone' + chr(10))}", etc)
    assert broken.find(["@catch.test"]).text == "bob"
    assert "line 4: expected format: key whitespace value" in broken.find(ABSENT).uncertainty
    less_exact = broken.find(["nobody@catch.test", "@catch.test"])
    assert (less_exact.text, less_exact.uncertainty) == ("bob", broken.find(ABSENT).uncertainty)


def test_a_setting_that_main_cf_has_twice_is_no_uncertainty(etc: Path) -> None:
    (etc / "main.cf").write_text("myorigin = a.test\nmyorigin = b.test\n")
    assert postmap_table(texthash(etc), etc).find(ABSENT) == Found()


def test_a_table_that_does_not_answer_is_given_up_in_time_and_costs_the_next_nothing(
    etc: Path,
) -> None:
    fifo = etc / "virtual"
    os.mkfifo(fifo)
    table = postmap_table(f"texthash:{fifo}", etc, timeout=0.3)
    with pytest.raises(Temporary, match=r"no answer within 0\.3 s"):
        table.find(ABSENT)
    with pytest.raises(Temporary, match="is not retried yet"):
        table.find(ABSENT)


def test_a_missing_postmap_is_temporary(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postmap, "_PLACES", str(etc))
    with pytest.raises(Temporary, match="postmap is not installed"):
        postmap_table(texthash(etc), etc).find(ABSENT)
