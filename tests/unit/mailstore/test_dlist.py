"""Cyrus's dlists: what it was heard to say is read, and what we write is one value whatever is in it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate.mailstore.dlist import Value, read, written


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ([b"user.joe"], b"user.joe"),
        ([b'"user.joe.a b"'], b"user.joe.a b"),
        ([rb'"a\"b\\c"'], rb'a"b\c'),
        ([(b"{5}", b'a"b\\c'), b""], rb'a"b\c'),
        ([b"NIL"], None),
        ([b'"NIL"'], b"NIL"),
        ([b"()"], []),
        ([b'(user.joe "a b" (c) NIL)'], [b"user.joe", b"a b", [b"c"], None]),
        ([b"%(ROOT user.joe LIMIT -1)"], {b"ROOT": b"user.joe", b"LIMIT": b"-1"}),
        (
            [
                (b'%(ACL "joe\tlrs\t" ANNOTATIONS (%(ENTRY /specialuse USERID joe VALUE {5}', b"\\Sent"),
                b")))",
            ],
            {
                b"ACL": b"joe\tlrs\t",
                b"ANNOTATIONS": [{b"ENTRY": b"/specialuse", b"USERID": b"joe", b"VALUE": b"\\Sent"}],
            },
        ),
        ([b"(other.test!user.joe.A^b)"], [b"other.test!user.joe.A^b"]),
    ],
)  # fmt: skip
def test_a_response_is_one_value(lines: list[bytes | tuple[bytes, bytes]], value: Value) -> None:
    assert list(read(lines)) == [value]


def test_each_response_is_read_by_itself() -> None:
    assert list(read([b"a", (b"({1}", b"b"), b" c)", b"d"])) == [b"a", [b"b", b"c"], b"d"]


@pytest.mark.parametrize(
    "text",
    [b"", b"a b", b"(a", b"a)", b"(", b")", b"%(a)", b"%((a) b)", b"%(a b a c)", b'"a', b"a\\b", b"%{x}"],
)  # fmt: skip
def test_what_is_no_dlist_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"dlist|list ends|name|argument"):
        list(read([text]))


def test_lists_in_lists_may_go_deep() -> None:
    deep = 200_000
    (value,) = read([b"(" * deep + b")" * deep])
    assert value != []


WORDS = st.one_of(st.text(max_size=20), st.text('a"\\{5+}() %\r\n\0é', max_size=8)).filter(
    lambda it: it.isprintable() or it.isascii()
)


@given(st.dictionaries(st.sampled_from(["USERID", "MBOXNAME", "CONTENT"]), WORDS, min_size=1))
def test_what_is_written_is_read_again(values: dict[str, str]) -> None:
    (value,) = read(_as_imaplib(written(values)))
    assert value == {name.encode(): word.encode() for name, word in values.items()}


@given(st.lists(WORDS | st.integers(0)))
def test_a_list_that_is_written_is_read_again(values: list[str | int]) -> None:
    (value,) = read(_as_imaplib(written(values)))
    assert value == [str(word).encode() for word in values]


def _as_imaplib(line: bytes) -> list[bytes | tuple[bytes, bytes]]:
    """A line whose literals were read."""
    pieces: list[bytes | tuple[bytes, bytes]] = []
    while literal := re.search(rb'^(?:[^"{]|"[^"]*")*\{(\d+)\+\}\r\n', line):
        end = literal.end() + int(literal[1])
        pieces.append((line[: literal.end() - 2], line[literal.end() : end]))
        line = line[end:]
    return [*pieces, line]
