"""What each kind of action tells about itself, and that every mail store can carry it out."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from autocreate.errors import Reason
from autocreate.mailstore import cyrus_tree, memory
from autocreate.tree import actions
from autocreate.tree.actions import (
    KINDS,
    CreateMailbox,
    InstallScript,
    SetAcl,
    SetQuota,
    SetSpecialUse,
    Subscribe,
    SubscribeShared,
)
from autocreate.tree.base import Action, Lane
from autocreate.tree.plan import Failure, Plan, as_json, as_text
from autocreate.tree.values import ALL_SHARED, UNLIMITED, Folder, Path, Quota, Script, Tree

INBOX = CreateMailbox((), None, "fast")
SENT = CreateMailbox(("Sent",), "\\Sent")
QUOTA = SetQuota(Quota(2048, 100))
NO_QUOTA = SetQuota(Quota(UNLIMITED, UNLIMITED))
ACL = SetAcl(("Archive", "2026"), "anyone", "lr")
NO_RIGHTS = SetAcl((), "anyone", "")
SCRIPT = InstallScript(Script("vacation", b"keep;"))
SPECIAL_USE = SetSpecialUse(("Sent",), "\\Sent")
SUBSCRIBE = Subscribe(("Sent",))
SHARED = SubscribeShared("Staff/News")
ALL = SubscribeShared(ALL_SHARED)


@pytest.mark.parametrize(
    ("action", "description"),
    [
        (INBOX, "create INBOX on partition fast"),
        (SENT, "create Sent as \\Sent"),
        (QUOTA, "set quota 2048 KiB, 100 messages"),
        (NO_QUOTA, "set quota unlimited storage, unlimited messages"),
        (ACL, "grant anyone lr on Archive/2026"),
        (NO_RIGHTS, "grant anyone nothing on INBOX"),
        (SCRIPT, "install the sieve script vacation"),
        (SPECIAL_USE, "mark Sent as \\Sent"),
        (SUBSCRIBE, "subscribe to Sent"),
        (SHARED, "subscribe to shared folder Staff/News"),
        (ALL, "subscribe to all shared folders"),
    ],
)
def test_an_action_describes_itself(action: Action, description: str) -> None:
    assert action.description == description
    assert as_text(Plan("joe", "everyone", (action,))) == [description]


@pytest.mark.parametrize(
    ("action", "data"),
    [
        (
            SENT,
            {"action": "create", "folder": "Sent", "special_use": "\\Sent", "partition": None},
        ),
        (QUOTA, {"action": "quota", "storage_kib": 2048, "messages": 100}),
        (NO_QUOTA, {"action": "quota", "storage_kib": 0, "messages": 0}),
        (
            ACL,
            {"action": "acl", "folder": "Archive/2026", "identifier": "anyone", "rights": "lr"},
        ),
        (SCRIPT, {"action": "sieve", "script": "vacation"}),
        (SPECIAL_USE, {"action": "special_use", "folder": "Sent", "special_use": "\\Sent"}),
        (SUBSCRIBE, {"action": "subscribe", "folder": "Sent"}),
        (SHARED, {"action": "subscribe_shared", "folder": "Staff/News"}),
    ],
)
def test_an_action_is_plain_data(action: Action, data: dict[str, Any]) -> None:
    assert action.as_json() == data
    assert as_json(Plan("joe", "everyone", (action,)))["actions"] == [data]


@pytest.mark.parametrize(
    ("action", "key"),
    [
        (INBOX, ""),  # mail needs it
        (SENT, "folder Sent"),
        (QUOTA, ""),  # limits and rights are the administrator's
        (ACL, ""),
        (SCRIPT, "sieve script"),
        (SPECIAL_USE, ""),
        (SUBSCRIBE, "subscription Sent"),
        (SHARED, "subscription to shared Staff/News"),
    ],
)
def test_the_journal_knows_by_a_key_what_a_user_may_remove(action: Action, key: str) -> None:
    assert action.user_removable == key


@pytest.mark.parametrize(
    ("kind", "lane"),
    [
        (CreateMailbox, Lane.ADMINISTRATOR),
        (SetQuota, Lane.ADMINISTRATOR),
        (SetAcl, Lane.ADMINISTRATOR),
        (InstallScript, Lane.SCRIPTS),
        (SetSpecialUse, Lane.USER),
        (Subscribe, Lane.USER),
        (SubscribeShared, Lane.USER),
    ],
)
def test_a_kind_says_who_carries_it_out(kind: type[Action], lane: Lane) -> None:
    assert kind.lane is lane


@pytest.mark.parametrize(
    ("action", "folder"),
    [
        (INBOX, ()),
        (SENT, ("Sent",)),
        (QUOTA, ()),
        (ACL, ("Archive", "2026")),
        (SCRIPT, None),
        (SPECIAL_USE, ("Sent",)),
        (SUBSCRIBE, ("Sent",)),
        (SHARED, None),
    ],
)
def test_an_action_names_the_folder_that_it_needs(action: Action, folder: Path | None) -> None:
    assert action.folder == folder


def test_no_mail_is_accepted_without_inbox_and_its_quota() -> None:
    essential = [it for it in (INBOX, SENT, QUOTA, ACL, SCRIPT, SUBSCRIBE) if it.is_essential]
    assert essential == [INBOX, QUOTA]


FINAL = {
    INBOX: set(),  # tried for ever
    SENT: {Reason.IMPOSSIBLE, Reason.TAKEN},
    QUOTA: {Reason.IMPOSSIBLE},
    ACL: {Reason.IMPOSSIBLE},
    SCRIPT: {Reason.IMPOSSIBLE, Reason.TAKEN},
    SPECIAL_USE: {Reason.IMPOSSIBLE, Reason.TAKEN},
    SUBSCRIBE: {Reason.IMPOSSIBLE},
    SHARED: {Reason.IMPOSSIBLE, Reason.MISSING, Reason.FORBIDDEN},
}


@pytest.mark.parametrize("action", FINAL, ids=lambda action: action.description)
def test_an_action_says_which_refusals_are_final(action: Action) -> None:
    assert {reason for reason in Reason if action.is_final(reason)} == FINAL[action]


def test_only_a_shared_folder_may_be_left_out_without_a_fault_of_the_policy() -> None:
    assert [kind for kind in KINDS if kind.is_optional] == [SubscribeShared]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (CreateMailbox, Tree((Folder(("Sent",)),))),
        (SetQuota, Tree((Folder(),), Quota(5))),
        (SetAcl, Tree((Folder(acl=(("anyone", "p"),)),))),
        (InstallScript, Tree(script=Script("vacation"))),
        (Subscribe, Tree((Folder(subscribe=True),))),
        (SubscribeShared, Tree(shared=("News",))),
    ],
)
def test_a_kind_finds_what_is_missing_of_it_and_nothing_else(
    kind: type[Action], wanted: Tree
) -> None:
    assert {type(action) for action in kind.missing(wanted, Tree())} == {kind}
    assert list(kind.missing(wanted, wanted)) == []
    assert list(kind.missing(Tree(), wanted)) == []


def test_a_special_use_is_missing_only_on_a_folder_that_exists() -> None:
    wanted = Tree((Folder(("Sent",), "\\Sent"),))
    assert list(SetSpecialUse.missing(wanted, Tree())) == []
    assert list(SetSpecialUse.missing(wanted, Tree((Folder(("Sent",)),)))) == [SPECIAL_USE]


@pytest.mark.parametrize(
    "how", [{**cyrus_tree.HOW, **cyrus_tree.ASKED}, memory.HOW], ids=["cyrus", "memory"]
)
def test_every_mail_store_has_a_line_for_every_kind(how: dict[type[Action], Any]) -> None:
    classes = (it for it in vars(actions).values() if isinstance(it, type))
    assert set(how) == set(KINDS) == {it for it in classes if issubclass(it, Action)} - {Action}


def test_an_action_is_a_frozen_value_without_a_dictionary() -> None:
    with pytest.raises(FrozenInstanceError):
        SENT.path = ()  # type: ignore[misc]
    assert not any(hasattr(action, "__dict__") for action in FINAL)
    assert CreateMailbox(("Sent",), "\\Sent") == SENT
    assert len({Failure(SENT, "no"), Failure(CreateMailbox(("Sent",), "\\Sent"), "no")}) == 1
