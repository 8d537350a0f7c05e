"""The log: one record, one line, whatever a client sends."""

from __future__ import annotations

import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate import logs
from autocreate.model import Answer, Recipient, Verdict

TEXT = st.text(st.one_of(st.characters(), st.sampled_from("\r\n\x1b\u2028\x85\udc80 '\"=")))
CREATED = Verdict(Answer.ACCEPT, "created", "joe", "staff", "everyone", created=True)


def written(kind: str, argument: str, verdict: Verdict = CREATED, **fields: str) -> str:
    stream = io.StringIO()
    logs.configure(kind, "info", stream)
    logs.verdict(Recipient(argument), verdict, 12.34, **fields)
    return stream.getvalue()


def test_a_verdict_is_a_line_of_words() -> None:
    assert written("text", "<joe@example.org>", client="192.0.2.1", sender="", queue_id="4X") == (
        "INFO recipient recipient=<joe@example.org> client=192.0.2.1 queue_id=4X answer=accept "
        "user=joe source=staff policy=everyone created=True ms=12.3 reason=created\n"
    )


def test_a_verdict_is_a_json_object() -> None:
    record = json.loads(written("json", "<jos\udce9@example.org>", client="192.0.2.1"))
    record.pop("time")
    assert record == {
        "level": "INFO",
        "logger": "autocreate.recipient",
        "message": "recipient",
        "recipient": "<jos\\udce9@example.org>",
        "client": "192.0.2.1",
        "answer": "accept",
        "user": "joe",
        "source": "staff",
        "policy": "everyone",
        "created": True,
        "ms": 12.3,
        "reason": "created",
    }


def test_somebody_elses_mail_is_told_at_debug_only() -> None:
    assert written("text", "<joe@other.test>", Verdict(Answer.PASS, "not ours")) == ""


@given(st.sampled_from(["text", "json"]), TEXT, TEXT)
def test_a_verdict_is_one_line_whatever_a_client_sends(kind: str, argument: str, sent: str) -> None:
    text = written(kind, argument, sender=sent)
    assert text.endswith("\n")
    assert len(text.splitlines()) == 1
    assert text[:-1].isprintable()
    text.encode("utf-8")


@given(st.sampled_from(["text", "json"]), TEXT)
def test_any_other_event_is_one_line_too(kind: str, sent: str) -> None:
    stream = io.StringIO()
    logs.configure(kind, "info", stream)
    logging.getLogger("autocreate.service").error("%s: could not", sent)
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue()[:-1].isprintable()


@pytest.mark.parametrize(("level", "lines"), [("warning", 0), ("info", 1)])
def test_the_level_counts(level: str, lines: int) -> None:
    stream = io.StringIO()
    logs.configure("text", level, stream)
    logs.verdict(Recipient("joe"), CREATED, 1.0)
    assert len(stream.getvalue().splitlines()) == lines
