"""Alias texts are read as postmap(1), postalias(1) and newaliases read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate.aliases.syntax import (
    Member,
    abbreviate,
    folded,
    items,
    key_parts,
    lowered,
    members,
    one_value,
    quoted,
    unquoted,
)
from autocreate.aliases.texts import parse_aliases, parse_table, parse_virtusertable
from autocreate.errors import MalformedValue

VIRTUAL = """\
# a comment
Sales@Example.ORG   joe, kim

@catch.test
    bob,
  # between two lines of one entry
    ann
"two words"@example.org  joe
sales@example.org  too-late
"""

ALIASES = """\
# aliases(5)
Postmaster: root
root:       joe,
            "|/usr/bin/vacation joe, again",
\t/var/mail/archive
"Joe Smith": joe
list: :include:/etc/mail/list
a\\:b: kim
"""


def test_a_table_has_a_key_and_a_value_a_line() -> None:
    assert parse_table(iter([VIRTUAL])).entries == {
        "sales@example.org": "joe, kim",
        "@catch.test": "bob, ann",
        "two words@example.org": "joe",
    }


def test_aliases_have_a_name_a_colon_and_values() -> None:
    assert parse_aliases(iter([ALIASES])).entries == {
        "postmaster": "root",
        "root": 'joe, "|/usr/bin/vacation joe, again", /var/mail/archive',
        "joe smith": "joe",
        "list": ":include:/etc/mail/list",
        "a:b": "kim",
    }


def test_lines_that_mean_nothing_are_told_by_their_numbers() -> None:
    assert parse_table(iter(["a b\n\nalone\nc d\n"])).problems == (
        "line 3 has no value after its key",
    )
    assert parse_aliases(iter(["a: b\nno colon here\n"])).problems == (
        "line 2 has no name, colon and value",
    )


def test_a_name_with_nothing_behind_its_colon_is_no_alias_as_postalias_and_newaliases_have_it() -> (
    None
):
    read = parse_aliases(iter(["a: b\nnobody:\n"]))
    assert (read.entries, read.problems) == (
        {"a": "b"},
        ("line 2 has no name, colon and value",),
    )


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("a b\nC d", "c"),
        ("a b\nc d\n  e\n# comment\n\n", "c"),
        ("a b\nc", ""),  # a problem
        ("a b\nc d\na e", ""),  # the first counts, and it is whole
        ("", ""),
    ],
)
def test_the_entry_that_a_text_ends_with_is_told(text: str, last: str) -> None:
    assert parse_table(iter([text])).last == last


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("joe", ["joe"]),
        ("joe, kim@example.org", ["joe", "kim@example.org"]),
        ("joe@a.test kim@a.test", ["joe@a.test", "kim@a.test"]),
        (" joe ,, kim, ", ["joe", "kim"]),
        ("Joe Doe <joe@a.test>, kim (Kim, too)", ["<joe@a.test>", "kim"]),
        ('"|/bin/cat >/a, b", /file', ['"|/bin/cat >/a, b"', "/file"]),
        ("|/bin/cat -v, joe", ["|/bin/cat -v", "joe"]),
        ('"two words"@a.test', ['"two words"@a.test']),
        ("\\joe, :include:/my list", ["\\joe", ":include:/my list"]),
        ("#joe\n\nkim # not a comment", ["#joe", "kim", "#", "not", "a", "comment"]),
        ("error:5.7.0:550 go away", ["error:5.7.0:550 go away"]),
        ("", []),
    ],
)
def test_a_right_hand_side_is_a_list_of_items(text: str, expected: list[str]) -> None:
    assert items(text) == expected


def test_an_included_file_has_comments() -> None:
    assert members("# nobody\njoe\n  # nor she\nkim, #lee") == (
        Member("joe", 2),
        Member("kim", 4),
        Member("#lee", 4),
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("joe@a.test", ["joe@a.test"]),
        ("joe, kim", ["joe", "kim"]),
        ("joe@a.test,kim@a.test,", ["joe@a.test", "kim@a.test"]),
        ("joe@a.test\nkim@a.test", ["joe@a.test", "kim@a.test"]),
        ("Joe Doe <joe@a.test>", ["<joe@a.test>"]),
        ('"Doe, Joe" <joe@a.test>, kim@a.test', ["<joe@a.test>", "kim@a.test"]),
        ('"joe doe"', ['"joe doe"']),
        ("|/bin/cat -v", ["|/bin/cat -v"]),
        ("", []),
    ],
)
def test_one_value_of_a_database_can_hold_several_targets(value: str, expected: list[str]) -> None:
    assert one_value(value) == expected


@pytest.mark.parametrize(
    "value",
    ["joe doe", "Doe, Joe <joe@a.test>", "Joe <joe@a.test>, kim", "joe@a.test kim", "joe doe, kim"],
)
def test_one_value_that_could_be_a_name_is_malformed(value: str) -> None:
    with pytest.raises(MalformedValue, match="could be one name or several targets"):
        one_value(value)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("Joe@Example.ORG", "joe@example.org"),
        ('"Two Words"@a.test', "two words@a.test"),
        ("info@Bücher.test", "info@bücher.test"),
        ("@a.test", "@a.test"),
        ("Jo\u0308rg", "jörg"),
        ("Straße", "strasse"),
        ("Weiß@Weiß.test", "weiss@weiss.test"),
    ],
)
def test_keys_are_the_same_however_they_are_spelled(key: str, expected: str) -> None:
    assert folded(key) == expected


def test_sendmail_knows_no_full_case_folding() -> None:
    assert lowered("Straße@A.test") == "straße@a.test"
    text = "Straße@a.test joe\nstrasse@a.test kim\n"
    assert parse_virtusertable(iter([text])).entries == {
        "straße@a.test": "joe",
        "strasse@a.test": "kim",
    }
    assert parse_table(iter([text])).entries == {"strasse@a.test": "joe"}


@given(st.text())
def test_what_is_quoted_is_itself_without_its_quotes(local: str) -> None:
    assert unquoted(quoted(local)) == local


@given(st.text(alphabet='ab:@,"\\ #\n\t|/(<>)') | st.text())
def test_any_text_can_be_read(text: str) -> None:
    for parse in (parse_table, parse_aliases):
        for value in parse(iter([text])).entries.values():
            assert all(item for item in items(value))


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("joe@a.test", {"key": "joe@a.test", "local": "joe", "domain": "a.test"}),
        ("@a.test", {"key": "@a.test", "local": "", "domain": "a.test"}),
        ("joe", {"key": "joe", "local": "joe", "domain": ""}),
        ("a@b@a.test", {"key": "a@b@a.test", "local": "a@b", "domain": "a.test"}),
    ],
)
def test_a_key_has_parts_for_a_databases_query(key: str, parts: dict[str, str]) -> None:
    assert key_parts(key) == parts


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], ""),
        (["a", "b"], "a, b"),
        (["a", "b", "c", "d", "e"], "a, b, c, d, e"),
        (["a", "b", "c", "d", "e", "f"], "a, b, c, d, e and 1 more"),
    ],
)
def test_of_many_words_the_first_five_are_told(words: list[str], text: str) -> None:
    assert abbreviate(words) == text


@pytest.mark.parametrize(
    ("local", "written"),
    [("joe", "joe"), ("joe smith", '"joe smith"'), ('a"b\\c', '"a\\"b\\\\c"'), ("a..b", '"a..b"')],
)
def test_a_local_part_is_quoted_where_it_must_be_and_comes_back(local: str, written: str) -> None:
    assert quoted(local) == written
    assert unquoted(written) == local
