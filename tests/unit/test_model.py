"""What the values know of themselves."""

from __future__ import annotations

import pytest

from autocreate.model import (
    Address,
    Answer,
    ApplyResult,
    CreateMailbox,
    Failure,
    Folder,
    Plan,
    Quota,
    SetQuota,
    Subscribe,
    Verdict,
    folder_name,
)

INBOX = CreateMailbox(())
QUOTA = SetQuota(Quota(5))
SENT = CreateMailbox(("Sent",))
PLAN = Plan("joe", "everyone", (INBOX, QUOTA, SENT, Subscribe(())))


def test_an_address_reads_as_one() -> None:
    assert str(Address("joe", "example.org")) == "joe@example.org"
    assert str(Address("joe")) == "joe"


def test_a_folder_reads_as_an_administrator_writes_it() -> None:
    assert Folder().name == folder_name(()) == "INBOX"
    assert Folder(("Archive", "2026")).name == "Archive/2026"


def test_inbox_and_its_quota_are_essential() -> None:
    assert PLAN.essential == (INBOX, QUOTA)


@pytest.mark.parametrize(
    ("failed", "usable"), [((), True), ((SENT,), True), ((SENT, QUOTA), False), ((INBOX,), False)]
)
def test_a_tree_is_usable_if_nothing_essential_failed(
    failed: tuple[CreateMailbox, ...], usable: bool
) -> None:
    assert ApplyResult(PLAN, tuple(Failure(it, "no") for it in failed)).usable is usable


@pytest.mark.parametrize(
    ("answer", "reply", "status"),
    [
        (Answer.PASS, None, 0),
        (Answer.ACCEPT, None, 0),
        (Answer.UNKNOWN, ("550", "5.1.1", "User unknown"), 65),
        (Answer.MALFORMED, ("553", "5.1.3", "Bad recipient address syntax"), 65),
        (Answer.TEMPORARY, ("451", "4.3.0", "Temporary failure, please try again later"), 75),
    ],
)
def test_every_answer_is_one_literal_reply_and_one_exit_status(
    answer: Answer, reply: tuple[str, str, str] | None, status: int
) -> None:
    assert Verdict(answer, "why").reply == reply
    assert answer.exit_status == status


def test_a_verdict_that_is_withheld_lets_the_recipient_through() -> None:
    assert Verdict(Answer.UNKNOWN, "why", suppressed="dry run").reply is None
