"""What benchmarks rest on: how they read the log, and what they take for a proof."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from autocreate import logs
from autocreate.model import Answer, Recipient, Verdict
from tests.bench.contest import Effort, Result
from tests.bench.evidence import REMEMBERED, UNKNOWN, Evidence
from tests.bench.verify import USERS, service
from tests.configured import account_source
from tests.servers.common import aged


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """A log that the program writes."""
    path = tmp_path / "milter.log"
    with path.open("w", encoding="utf-8") as stream:
        logs.configure("text", "info", stream)
        yield path
    logging.getLogger("autocreate").handlers[:] = []


@pytest.fixture
def proof(log: Path) -> Evidence:
    return Evidence(cast(Any, SimpleNamespace(log_file=log)))


def decide(user: str, answer: Answer, reason: str, **what: Any) -> None:
    logs.verdict(f"<{user}@example.org>", Verdict(answer, reason, user, **what), 0.1)


def test_what_was_expected_is_a_proof(proof: Evidence) -> None:
    with proof.expects() as expected:
        decide("joe", Answer.ACCEPT, REMEMBERED.reason)
        expected[REMEMBERED] = 1


@pytest.mark.parametrize(
    ("verdict", "logged"),
    [
        (Verdict(Answer.PASS, "mailer 'discard' is not ours"), "the log has none"),
        (Verdict(Answer.ACCEPT, "INBOX exists", "joe"), "INBOX exists"),
    ],
)
def test_another_verdict_is_no_proof(proof: Evidence, verdict: Verdict, logged: str) -> None:
    proved = proof.expects()
    proved.__enter__()[REMEMBERED] = 1
    logs.verdict("<joe@example.org>", verdict, 0.1)
    with pytest.raises(AssertionError, match=logged):
        proved.__exit__(None, None, None)


def test_verdicts_that_nobody_asked_for_are_told(proof: Evidence) -> None:
    decide("joe", Answer.ACCEPT, REMEMBERED.reason)
    with pytest.raises(AssertionError, match="not asked for"), proof.expects():
        pass


def test_the_expected_reasons_are_those_of_the_program(
    tmp_path: Path, log: Path, proof: Evidence
) -> None:
    users = tmp_path / "users"
    users.write_text(f"{USERS[0]}\n")
    source = account_source("file", path=aged(users))
    with service(tmp_path, source) as asked, proof.expects() as expected:
        for user in (USERS[0], "nobody"):
            recipient = Recipient(f"<{user}@example.org>", mailer="lmtp")
            asked.verify(recipient)
            logs.verdict(recipient.argument, asked.verify(recipient), 0.1)
        expected[REMEMBERED] = 1
        expected[UNKNOWN._replace(asked="it:cache")] = 1


@pytest.mark.parametrize(("target", "outcome"), [(0.95, "missed"), (0.8, "met")])
def test_a_target_and_its_outcome_are_one_line(target: float, outcome: str) -> None:
    result = Result("1 recipient", "messages/s", [86.0], [100.0], target=target)
    assert result.against_target("warm") == (
        f"warm: 1 recipient: target >= {target:.2f}, measured 0.86: {outcome}"
    )


def test_nothing_is_said_where_there_is_no_target() -> None:
    assert Result("1 recipient", "messages/s", [1.0], [1.0]).against_target("warm") == ""


def test_a_short_run_measures_a_tenth() -> None:
    assert Effort(short=True).of(600, 20) == 60
    assert Effort(short=True).of(60, 20) == 20
    assert Effort().of(600, 20) == 600
