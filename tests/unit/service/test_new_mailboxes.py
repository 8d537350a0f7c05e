"""What only a new mailbox gets: a welcome message, and a hook."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from autocreate.core.message import MessageTemplate
from autocreate.core.policy import Policy
from autocreate.errors import Refused
from autocreate.mailstore import memory
from autocreate.mailstore.memory import Memory
from autocreate.model import Answer, Verdict
from autocreate.tree.actions import DeliverWelcome, Subscribe
from autocreate.tree.plan import as_json, as_text
from autocreate.tree.values import Folder, Hook, Tree
from tests.unit.house import Build, House

MESSAGE = MessageTemplate(b"From: post@{domain}\nSubject: Hi {user} {cn}\n\nx\n", "welcome.eml")
HOOK = Hook(("/usr/local/lib/hook", "argument"))
POLICY = Policy("everyone", Tree((Folder(subscribe=True),)), welcome=MESSAGE, hook=HOOK)


def house(build: Build, **more: Any) -> House:
    return build(policies=(POLICY,), accounts={"joe": []}, **more)


def mail(house: House) -> Verdict:
    return house.verify("joe@example.org")


def is_welcomed(house: House) -> bool:
    return house.store.trees["joe"].welcome is not None


def failing(monkeypatch: pytest.MonkeyPatch, kind: type) -> Callable[[], None]:
    """Has actions of a kind fail, until the function that is returned is called."""

    def refuse(*_arguments: object) -> Tree:
        raise Refused("disk full")

    how = dict(memory.HOW)
    monkeypatch.setattr(memory, "HOW", {**how, kind: refuse})
    return lambda: monkeypatch.setattr(memory, "HOW", how)


def retry(house: House) -> None:
    for entry in house.service.unfinished(everything=True):
        house.service.complete(entry)


def test_a_new_mailbox_gets_both(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    here = house(build)
    assert mail(here).reason == "created"
    welcome = here.store.trees["joe"].welcome
    assert welcome is not None
    assert b"Subject: Hi joe\r\n" in welcome.message.replace(b" \r\n", b"\r\n")
    assert "joe: has no attribute cn, which the welcome message welcome.eml names" in caplog.text
    (run, hook) = here.service.hooks.claim(4)[0]
    assert hook == HOOK
    event = json.loads(run.event)
    assert (event["user"], event["address"], event["service"]) == ("joe", "joe@example.org", "lmtp")
    assert [it["action"] for it in event["made"]] == ["create", "welcome", "subscribe"]
    assert here.journal.creations.of("joe") is None


def test_a_mailbox_that_existed_gets_neither(build: Build) -> None:
    here = house(build)
    here.store.trees["joe"] = Tree((Folder(),))
    assert mail(here).reason == "INBOX exists"
    assert not is_welcomed(here)
    assert here.service.hooks.claim(4) == []


def test_a_plan_shows_both_and_does_neither(build: Build) -> None:
    here = house(build, dry_run=True)
    plan = mail(here).plan
    assert plan is not None
    assert as_text(plan) == [
        "create INBOX",
        "deliver the welcome message welcome.eml",
        "subscribe to INBOX",
        "then run /usr/local/lib/hook",
    ]
    assert as_json(plan)["on_created"] == list(HOOK.argv)
    assert here.store.trees == {}


def test_a_message_that_fails_costs_no_mail_and_comes_later(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = house(build)
    mend = failing(monkeypatch, DeliverWelcome)
    verdict = mail(here)
    assert verdict.answer is Answer.ACCEPT
    assert "could not deliver the welcome message" in verdict.reason
    assert here.service.hooks.claim(4) == []  # the tree is not whole
    mend()
    retry(here)
    assert is_welcomed(here)
    assert len(here.service.hooks.claim(4)) == 1


def test_a_message_that_was_delivered_is_not_delivered_with_the_rest(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = house(build)
    mend = failing(monkeypatch, Subscribe)
    mail(here)
    assert is_welcomed(here)
    here.store.trees["joe"] = replace(here.store.trees["joe"], welcome=None)  # read and deleted
    mend()
    retry(here)
    assert not is_welcomed(here)
    (run, _) = here.service.hooks.claim(4)[0]
    assert "welcome" in [it["action"] for it in json.loads(run.event)["made"]]


def test_a_kill_after_the_first_line_of_the_journal_is_finished_with_both(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = house(build)

    def kill(*_arguments: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(Memory, "apply", kill)
        mail(here)
    assert here.journal.creations.of("joe") is not None
    here.store.trees["joe"] = Tree((Folder(),))  # as far as it had come
    retry(here)
    assert is_welcomed(here)
    assert len(here.service.hooks.claim(4)) == 1


def test_a_hook_that_failed_is_claimed_again_after_a_pause_that_grows(build: Build) -> None:
    now = [1000.0]
    here = house(build, clock=lambda: now[0])
    mail(here)
    for pause in (60.0, 120.0, 240.0):
        ((run, _),) = here.service.hooks.claim(4)
        assert here.service.hooks.claim(4) == []  # it runs
        here.service.hooks.conclude(run, "exited with status 1")
        now[0] += pause - 1
        assert here.service.hooks.claim(4) == []
        now[0] += 1
    ((run, _),) = here.service.hooks.claim(4)
    here.service.hooks.conclude(run, "")
    assert here.service.hooks.count() == 0


def test_a_hook_whose_service_died_is_claimed_after_its_time_limit(build: Build) -> None:
    now = [1000.0]
    here = house(build, clock=lambda: now[0])
    mail(here)
    assert len(here.service.hooks.claim(4)) == 1
    now[0] += HOOK.timeout + 61
    assert len(here.service.hooks.claim(4)) == 1


def test_a_hook_that_its_policy_has_no_more_is_dropped(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    here = house(build)
    mail(here)
    after = build(policies=(replace(POLICY, hook=None),))
    assert after.service.hooks.claim(4) == []
    assert "joe: hook dropped: policy 'everyone' has none any more" in caplog.text
    assert after.service.hooks.count() == 0


def test_dry_run_leaves_hooks_alone(build: Build) -> None:
    here = house(build)
    mail(here)
    dry = house(build, dry_run=True)
    assert dry.service.hooks.claim(4) == []
    assert dry.service.hooks.count() == 1
