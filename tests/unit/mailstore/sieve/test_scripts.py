"""A script is a part of the tree that no mail waits for."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from autocreate.core.policy import Policy
from autocreate.errors import Unreachable
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.process import report_scripts
from autocreate.model import Answer, Recipient, Verdict
from autocreate.tree.values import Folder, Script, Tree
from tests.unit.clock import Clock
from tests.unit.house import House

SCRIPT = Script("default.sieve", b"keep;\n", "/etc/default.sieve")
POLICY = Policy("all", Tree((Folder(), Folder(("Lists",))), script=SCRIPT))
DOWN = Unreachable("ManageSieve is down")


@pytest.fixture
def house(tmp_path: Path, clock: Clock) -> House:
    return House(tmp_path, (POLICY,), accounts={"joe": ()}, clock=clock)


def mail(house: House) -> Verdict:
    return house.service.verify(Recipient("<joe@example.org>"))


def test_the_script_is_there_when_the_mail_is_accepted(house: House) -> None:
    assert mail(house).answer is Answer.ACCEPT
    assert house.store.trees["joe"].script == SCRIPT
    assert house.journal.entry("joe") is None


def test_a_wrong_script_is_skipped_for_good_and_the_rest_stands(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.store.wrong_scripts[SCRIPT.text] = "line 1: syntax error"
    verdict = mail(house)
    assert (verdict.answer, verdict.reason) == (Answer.ACCEPT, "created")
    assert verdict.notes == (
        "could not install the sieve script default.sieve: "
        "it does not compile: line 1: syntax error",
    )
    assert house.journal.entry("joe") is None
    assert house.store.trees["joe"] == replace(house.store.trees["joe"], script=None)
    assert "joe: could not install the sieve script default.sieve, will not retry: " in caplog.text


def test_mail_does_not_wait_for_a_service_that_is_down_and_the_script_comes_later(
    house: House, clock: Clock
) -> None:
    house.store.script_failure = DOWN
    assert mail(house).answer is Answer.ACCEPT
    entry = house.journal.entry("joe")
    assert entry is not None
    assert entry.usable
    assert mail(house).answer is Answer.ACCEPT

    clock.now = entry.next_try + 1
    assert mail(house).answer is Answer.ACCEPT
    again = house.journal.entry("joe")
    assert again is not None
    assert again.attempts == 2

    house.store.script_failure = None
    assert house.service.complete(again).reason == "completed"
    assert house.store.trees["joe"].script == SCRIPT
    assert house.journal.entry("joe") is None


def reported(house: House, caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    caplog.set_level(logging.INFO)
    report_scripts(ServiceGate(house.service))
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_good_script_is_not_worth_a_word(house: House, caplog: pytest.LogCaptureFixture) -> None:
    assert reported(house, caplog) == []


def test_a_wrong_script_is_told_at_the_start(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.store.wrong_scripts[SCRIPT.text] = "line 1: syntax error"
    assert reported(house, caplog) == [
        (
            "ERROR",
            "policy 'all': its users do not get the sieve script /etc/default.sieve: "
            "it does not compile: line 1: syntax error",
        )
    ]


def test_a_script_that_cannot_be_checked_is_told_too(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.store.script_failure = DOWN
    assert reported(house, caplog) == [
        (
            "WARNING",
            "policy 'all': sieve script /etc/default.sieve not checked: ManageSieve is down",
        )
    ]


def test_a_process_on_its_way_out_checks_nothing(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.store.script_failure = DOWN
    traffic = ServiceGate(house.service)
    traffic.drain(1.0)
    report_scripts(traffic)
    assert caplog.records == []
