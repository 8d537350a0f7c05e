"""The log: one record, one line, whatever a client sends."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import re
import socket
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate import logs
from autocreate.model import Answer, Login, Lookup, Verdict
from autocreate.statistics.line_budget import LineBudget
from tests.unit.clock import Clock

TEXT = st.text(st.one_of(st.characters(), st.sampled_from("\r\n\x1b\u2028\x85\udc80 '\"=")))
CREATED = Verdict(Answer.ACCEPT, "created", "joe", "staff", "everyone", created=True)


def written(kind: str, argument: str, verdict: Verdict = CREATED, **fields: str) -> str:
    stream = io.StringIO()
    logs.configure(kind, "info", stream)
    logs.verdict(argument, verdict, 12.34, **fields)
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


@pytest.mark.parametrize("kind", ["text", "json"])
def test_a_flood_of_unknown_recipients_is_bounded(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, stream = Clock(), io.StringIO()
    monkeypatch.setattr(logs, "LineBudget", lambda lines: LineBudget(lines, clock))
    logs.configure(kind, "debug", stream, unknown_per_minute=100)
    unknown = Verdict(Answer.UNKNOWN, "nobody knows")
    malformed = Verdict(Answer.MALFORMED, "no address", suppressed="dry run")
    for number in range(5000):
        logs.verdict(f"<x{number}@example.org>", unknown, 1.0, client="192.0.2.1")
        logs.verdict(f"<x{number}>", malformed, 1.0, client="192.0.2.2")
    logs.verdict("<joe@example.org>", CREATED, 1.0, client="192.0.2.1")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 101
    assert "joe@example.org" in lines[-1]
    clock.now += 60.0
    logs.flush()
    logs.flush()
    (summary,) = stream.getvalue().splitlines()[101:]
    assert "unknown or malformed recipients not logged in a minute" in summary
    assert "192.0.2.1:4950 192.0.2.2:4950" in summary
    assert "9900" in summary


def test_every_unknown_recipient_has_a_line_where_there_is_no_bound() -> None:
    stream = io.StringIO()
    logs.configure("text", "info", stream, unknown_per_minute=0)
    for _ in range(5000):
        logs.verdict("<x@example.org>", Verdict(Answer.UNKNOWN, "nobody knows"), 1.0)
    assert len(stream.getvalue().splitlines()) == 5000


def test_an_answer_that_is_not_given_says_why() -> None:
    verdict = Verdict(Answer.UNKNOWN, "nobody knows", suppressed="dry run")
    assert "answer=unknown withheld='dry run' " in written("text", "<x@example.org>", verdict)
    assert json.loads(written("json", "<x@example.org>", verdict))["withheld"] == "dry run"


def test_somebody_elses_mail_is_told_at_debug_only() -> None:
    assert written("text", "<joe@other.test>", Verdict(Answer.PASS, "not ours")) == ""


def test_a_deferral_is_an_error_at_the_first_recipient_and_not_again_for_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(logs, "_recent", logs._RecentReasons(clock))

    def level(reason: str, answer: Answer = Answer.TEMPORARY) -> str:
        return written("text", "<joe@example.org>", Verdict(answer, reason)).partition(" ")[0]

    assert [level("Cyrus is away"), level("Cyrus is away")] == ["ERROR", "INFO"]
    assert [level("no result within 7.9 s"), level("no result within 8.0 s")] == ["ERROR", "INFO"]
    assert level("no account source knows this user", Answer.UNKNOWN) == "INFO"
    clock.now += 3600.0
    assert [level("Cyrus is away"), level("Cyrus is away")] == ["ERROR", "INFO"]


def test_countless_reasons_fill_no_memory() -> None:
    reasons = logs._RecentReasons(Clock())
    assert all(reasons.is_news(f"query answered {number}") for number in range(5000))
    assert len(reasons._logged) <= 1000


@given(st.sampled_from(["text", "json"]), TEXT, TEXT)
def test_a_verdict_is_one_line_whatever_a_client_sends(kind: str, argument: str, sent: str) -> None:
    text = written(kind, argument, sender=sent)
    assert text.endswith("\n")
    assert len(text.splitlines()) == 1
    assert text[:-1].isprintable()
    text.encode("utf-8")


@given(TEXT, TEXT, st.floats(0, 1e9))
def test_a_json_line_is_what_json_writes(argument: str, reason: str, milliseconds: float) -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    verdict = replace(CREATED, reason=reason, suppressed="dry run")
    logs.verdict(argument, verdict, milliseconds, client="192.0.2.1")
    line = stream.getvalue()
    assert line == json.dumps(json.loads(line)) + "\n"


def test_fields_without_a_value_are_left_out_and_the_others_keep_their_order() -> None:
    full = Verdict(
        Answer.ACCEPT,
        "INBOX exists",
        "joe",
        "staff",
        "everyone",
        aliases=("all@example.org -> joe", "x -> y"),
        asked=(Lookup("old", 2001.66, True), Lookup("staff", None, False)),
        parts=(Verdict(Answer.ACCEPT, "", asked=(Lookup("people", 1.26, False),)),),
        suppressed="not by SMTP",
    )
    assert written("text", "<all@example.org>", full, client="", sender="it's") == (
        'INFO recipient recipient=<all@example.org> sender="it\'s" answer=accept '
        "aliases='all@example.org -> joe; x -> y' withheld='not by SMTP' user=joe source=staff "
        "asked='old:2001.7! staff:cache people:1.3' policy=everyone ms=12.3 "
        "reason='INBOX exists'\n"
    )
    assert written("text", "<x>", Verdict(Answer.TEMPORARY, "")).endswith(
        "recipient recipient=<x> answer=temporary ms=12.3\n"
    )


def test_the_time_of_a_json_line_is_local_and_has_its_zone() -> None:
    begun = datetime.now().astimezone().replace(microsecond=0)
    line = json.loads(written("json", "<joe@example.org>"))
    assert begun <= datetime.fromisoformat(line["time"]) <= datetime.now().astimezone()


def test_each_second_of_a_json_log_is_its_own() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    logger = logging.getLogger("autocreate.service.service")
    for second in (1_800_000_000.9, 1_800_000_001.0, 1_800_000_000.2):
        record = logging.LogRecord(logger.name, logging.INFO, "", 0, "a", (), None)
        record.created = second
        logger.handle(record)
    times = [json.loads(line)["time"] for line in stream.getvalue().splitlines()]
    seconds = [datetime.fromisoformat(time).timestamp() for time in times]
    assert seconds == [1_800_000_000, 1_800_000_001, 1_800_000_000]


@pytest.mark.parametrize("kind", ["text", "json"])
def test_an_exception_comes_with_its_traceback(kind: str) -> None:
    stream = io.StringIO()
    logs.configure(kind, "info", stream)
    try:
        raise ValueError("a defect")
    except ValueError:
        logging.getLogger("autocreate.service.service").exception("a defect of %s", "ours")
    text = stream.getvalue()
    if kind == "json":
        line = json.loads(text)
        assert line["message"] == "a defect of ours"
        text = "ERROR a defect of ours\n" + textwrap.indent(line["exc_info"], "  ") + "\n"
    assert text.startswith("ERROR a defect of ours\n  Traceback (most recent call last):\n")
    assert text.endswith("\n  ValueError: a defect\n")


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_line_that_cannot_be_written_disturbs_no_decision(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("text", "info", FullDisk())
    logs.verdict("<joe@example.org>", CREATED, 1.0)
    assert "No space left on device" in capsys.readouterr().err


class Slow(io.StringIO):
    """Writes in two parts, and lets other threads run between them."""

    def write(self, text: str) -> int:
        half = len(text) // 2
        super().write(text[:half])
        os.stat("/")
        super().write(text[half:])
        return len(text)


def test_lines_of_several_threads_do_not_mix() -> None:
    stream = Slow()
    logs.configure("text", "info", stream)
    logger = logging.getLogger("autocreate.service.service")

    def talk(number: int) -> None:
        for _ in range(50):
            logs.verdict(f"<joe{number}@example.org>", CREATED, 1.0)
            logger.info("all is well")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(talk, range(8)))
    lines = stream.getvalue().splitlines()
    assert lines.count("INFO all is well") == 400
    expected = {
        written("text", f"<joe{it}@example.org>").replace("=12.3", "=1.0") for it in range(8)
    }
    assert {f"{line}\n" for line in lines} - {"INFO all is well\n"} == expected
    assert len(lines) == 800


def test_a_decision_is_a_record_that_any_handler_of_logging_can_show() -> None:
    logs.configure("text", "info", io.StringIO())
    stream = io.StringIO()
    other = logging.StreamHandler(stream)
    other.setFormatter(
        logging.Formatter("%(levelname)s %(levelno)d %(name)s %(message)s %(filename)s%(lineno)d")
    )
    logging.getLogger("autocreate").addHandler(other)
    logs.verdict("<joe@example.org>", CREATED, 1.0)
    assert stream.getvalue() == "INFO 20 autocreate.recipient recipient 0\n"


WORDS = st.sampled_from(["", "joe", "staff", "it's 1=1"]) | TEXT
VERDICTS = st.builds(
    Verdict,
    st.sampled_from(list(Answer)),
    WORDS,
    WORDS,
    WORDS,
    WORDS,
    created=st.booleans(),
    suppressed=st.sampled_from(["", "dry run"]),
    aliases=st.sampled_from([(), ("x -> y",)]),
    asked=st.sampled_from([(), (Lookup("staff", 1.25, False),)]),
)


@given(st.sampled_from(["text", "json"]), TEXT, TEXT, VERDICTS, st.floats(0, 1e5))
def test_a_decision_is_the_same_line_with_a_record_and_without(
    kind: str, argument: str, sender: str, verdict: Verdict, milliseconds: float
) -> None:
    lines = []
    for more in ([], [logging.NullHandler()]):
        stream = io.StringIO()
        logs.configure(kind, "debug", stream)
        logging.getLogger("autocreate").handlers += more
        logs.verdict(argument, verdict, milliseconds, client="192.0.2.1", sender=sender)
        # Only the first temporary one for a reason is an error; and the second line may be a second later.
        lines.append(re.sub(r'ERROR|"time": "[^"]*"', "INFO", stream.getvalue()))
    assert lines[0] == lines[1] != ""


@given(st.sampled_from(["text", "json"]), TEXT)
def test_any_other_event_is_one_line_too(kind: str, sent: str) -> None:
    stream = io.StringIO()
    logs.configure(kind, "info", stream)
    logging.getLogger("autocreate.service.service").error("%s: could not", sent)
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue()[:-1].isprintable()


@pytest.mark.parametrize(("level", "lines"), [("warning", 0), ("info", 1)])
def test_the_level_counts(level: str, lines: int) -> None:
    stream = io.StringIO()
    logs.configure("text", level, stream)
    logs.verdict("joe", CREATED, 1.0)
    assert len(stream.getvalue().splitlines()) == lines


def test_a_login_has_the_fields_of_a_recipient() -> None:
    stream = io.StringIO()
    logs.configure("text", "info", stream)
    logs.login(Login("joe", "imap", "example.org"), CREATED, 31.0, client="192.0.2.1")
    assert stream.getvalue() == (
        "INFO login login=joe realm=example.org service=imap client=192.0.2.1 answer=accept "
        "user=joe source=staff policy=everyone created=True ms=31.0 reason=created\n"
    )


@pytest.mark.parametrize("kind", ["text", "json"])
def test_lines_for_the_journal_begin_with_their_priority(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "stderr").open("w") as stream:
        made = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{made.st_dev}:{made.st_ino}")
        logs.configure(kind, "info", stream)
        logger = logging.getLogger("autocreate.service.service")
        logger.info("all is well")
        try:
            raise ValueError("a defect")
        except ValueError:
            logger.exception("a defect of this program")
    lines = (tmp_path / "stderr").read_text().splitlines()
    assert lines[0].startswith("<6>")
    assert {line[:3] for line in lines[1:]} == {"<3>"}


def test_no_line_of_a_traceback_looks_like_a_record() -> None:
    stream = io.StringIO()
    logs.configure("text", "info", stream)
    try:
        raise ValueError("what a server said\r\nINFO recipient answer=accept\x1b[2J")
    except ValueError:
        logging.getLogger("autocreate.test").exception("a defect of this program")
    first, *more = stream.getvalue().removesuffix("\n").split("\n")
    assert first == "ERROR a defect of this program"
    assert all(line.startswith("  ") and line.isprintable() for line in more)
    assert "  INFO recipient answer=accept\\x1b[2J" in more


def test_lines_for_anybody_else_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")
    with (tmp_path / "stderr").open("w") as stream:
        logs.configure("text", "info", stream)
        logging.getLogger("autocreate.service.service").info("all is well")
    assert (tmp_path / "stderr").read_text() == "INFO all is well\n"


def test_syslog_has_facility_priority_and_the_program_before_each_line(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.settimeout(10)
        daemon.bind(str(tmp_path / "log"))
        logs.configure("text", "info", syslog=tmp_path / "log")
        logs.verdict("<joe@example.org>", CREATED, 12.34)
        logging.getLogger("autocreate.service.service").error("the journal is away")
        ours = f"autocreate[{os.getpid()}]: "
        # Facility 2 is mail: 2 * 8 + 6 is information, 2 * 8 + 3 an error.
        assert daemon.recv(4096).decode().startswith(f"<22>{ours}INFO recipient recipient=<joe@")
        assert daemon.recv(4096).decode() == f"<19>{ours}ERROR the journal is away"


def test_what_syslog_does_not_take_goes_to_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("text", "info", syslog=tmp_path / "nobody-listens")
    logging.getLogger("autocreate.service.service").error("the journal is away")
    assert capsys.readouterr().err == "ERROR the journal is away\n"
