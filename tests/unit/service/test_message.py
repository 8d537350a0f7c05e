"""Messages among MTAs as text, and what is none."""

from __future__ import annotations

import json

import pytest

from autocreate.errors import MalformedMessage
from autocreate.service.message import Kind, Message, decoded, encoded


@pytest.mark.parametrize(
    "message",
    [
        Message(Kind.CREATED, "joe", "a1"),
        Message(Kind.DELETED, "jürgen.von.\U0001f4eb@bücher.test", "a1"),
        Message(Kind.CLEARED, "joe", "a1"),
        Message(Kind.CLEARED, None, "a1"),
        Message(Kind.CREATED, "\U0001f4eb" * 250, "a1"),
    ],
)
def test_a_message_comes_as_it_was_sent_in_ascii_that_postgresql_takes(message: Message) -> None:
    text = encoded(message)
    assert text.isascii()
    assert len(text) < 8000
    assert decoded(text) == message


def text(**fields: object) -> str:
    return json.dumps({"what": "created", "user": "joe", "from": "a1", **fields})


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "joe", "null", "[]", "7", '"created"', "{}", "[" * 3000, "\0"),
        text(what="renamed"),
        text(what=["created"]),
        text(user=None),
        text(user=7),
        text(user=""),
        text(user="jo\ne"),
        text(user="jo\0e"),
        text(user="\ud800"),
        text(user="x" * 501),
        text(user=["joe"]),
        text(what="cleared", user=""),
        json.dumps({"what": "created", "user": "joe"}),
        text(**{"from": None}),
        text(more="x" * 4000),
    ],
)
def test_what_is_no_message_is_refused_and_shown_in_short(wrong: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decoded(wrong)
    assert len(str(caught.value)) < 700


def test_further_fields_of_a_later_version_do_no_harm() -> None:
    assert decoded(text(more=1)) == Message(Kind.CREATED, "joe", "a1")
