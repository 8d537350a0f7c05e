"""What the values know of themselves."""

from __future__ import annotations

import pytest

from autocreate.model import Account, Address, Answer, Reply, Verdict
from autocreate.tree.actions import CreateMailbox, SetAcl, SetQuota, Subscribe, SubscribeShared
from autocreate.tree.base import Action
from autocreate.tree.plan import ApplyResult, Failure, Plan
from autocreate.tree.values import UNLIMITED, Quota

INBOX = CreateMailbox(())
QUOTA = SetQuota(Quota(5))
SENT = CreateMailbox(("Sent",))
PLAN = Plan("joe", "everyone", (INBOX, QUOTA, SENT, Subscribe(())))


def test_an_address_reads_as_one() -> None:
    assert str(Address("joe", "example.org")) == "joe@example.org"
    assert str(Address("joe")) == "joe"


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


# -- quotas ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "existing", "set_to"),
    [
        (Quota(5), Quota(), Quota(5)),
        (Quota(root=True), Quota(), Quota(root=True)),
        (Quota(UNLIMITED), Quota(5), Quota(root=True)),
        (Quota(UNLIMITED), Quota(5, 7), Quota(None, 7)),
        (Quota(root=True), Quota(5), Quota(5)),
        (Quota(messages=7), Quota(5), Quota(5, 7)),
        (Quota(root=True), Quota(others=(("X", 1),)), Quota(others=(("X", 1),))),
        (Quota(0), Quota(), Quota(0)),
    ],
)
def test_a_quota_root_is_without_limits_only_where_none_is_left(
    wanted: Quota, existing: Quota, set_to: Quota
) -> None:
    assert wanted.keeping(existing) == set_to


# -- accounts --------------------------------------------------------------------------------


def test_an_attribute_is_found_whatever_the_case_of_its_name() -> None:
    account = Account("joe", "staff", (("mailquota", "1"), ("cn", "Joe"), ("mailquota", "2")))
    assert account.values("mailQuota") == ("1", "2")
    assert account.values("mail") == ()


def test_a_users_spelling_in_the_source_is_told_beside_the_user_id() -> None:
    assert Account("klee", "staff").spellings == ("klee",)
    assert Account("klee", "staff", name="KLee").spellings == ("klee", "KLee")


# -- what became of a plan -------------------------------------------------------------------

ACL = SetAcl((), "anyone", "lr")
NEWS = SubscribeShared("News")
WHOLE = Plan("joe", "everyone", (INBOX, SENT, ACL, NEWS))


def report(failed: tuple[Action, ...] = (), skipped: tuple[Action, ...] = ()) -> ApplyResult:
    return ApplyResult(
        WHOLE,
        tuple(Failure(it, "no") for it in failed),
        tuple(Failure(it, "never") for it in skipped),
    )


def test_what_neither_failed_nor_was_skipped_is_done() -> None:
    assert report().done == WHOLE.actions
    assert report(failed=(SENT,), skipped=(NEWS,)).done == (INBOX, ACL)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (report(), 0),
        (report(failed=(SENT,)), 75),
        (report(skipped=(ACL,)), 78),
        (report(failed=(SENT,), skipped=(ACL,)), 78),
        (report(skipped=(NEWS,)), 0),  # a shared folder is wanted only where there is one
        (report(failed=(SENT,), skipped=(NEWS,)), 75),
    ],
)
def test_a_command_ends_with_what_is_left_of_the_plan(outcome: ApplyResult, status: int) -> None:
    assert outcome.exit_status == status
    assert Verdict(Answer.ACCEPT, "why", report=outcome).exit_status == status


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (Verdict(Answer.ACCEPT, "why"), 0),
        (Verdict(Answer.UNKNOWN, "why"), 65),
        (Verdict(Answer.REFUSED, "why", refusal=Reply("552", "5.2.2", "Mailbox full")), 69),
        (Verdict(Answer.REFUSED, "why", refusal=Reply("452", "4.2.2", "Mailbox full")), 75),
        (
            Verdict(
                Answer.ACCEPT, "why", parts=(Verdict(Answer.ACCEPT, "", report=report((SENT,))),)
            ),
            75,
        ),
        (Verdict(Answer.TEMPORARY, "why", report=report(skipped=(ACL,))), 78),
    ],
)
def test_a_command_ends_with_the_gravest_of_the_answer_the_refusal_and_the_plans(
    verdict: Verdict, status: int
) -> None:
    assert verdict.exit_status == status


def test_a_refusal_is_answered_in_its_own_words() -> None:
    refusal = Reply("552", "5.2.2", "Mailbox full")
    assert Verdict(Answer.REFUSED, "why", refusal=refusal).reply == refusal
    assert Verdict(Answer.REFUSED, "why", refusal=refusal, suppressed="dry run").reply is None


def test_a_verdict_has_the_plans_of_its_parts_and_tells_what_was_done_of_its_own() -> None:
    first, second = Plan("ann", "a"), Plan("kim", "b")
    parts = (Verdict(Answer.ACCEPT, "", plan=first), Verdict(Answer.ACCEPT, "", plan=second))
    assert Verdict(Answer.ACCEPT, "", parts=parts).plans == (first, second)
    assert Verdict(Answer.ACCEPT, "", plan=WHOLE, parts=parts).plans == (WHOLE, first, second)
    assert Verdict(Answer.ACCEPT, "").done == ()
    assert Verdict(Answer.ACCEPT, "", plan=WHOLE).done == WHOLE.actions
    carried_out = Verdict(Answer.ACCEPT, "", plan=WHOLE, report=report(failed=(SENT,)))
    assert carried_out.done == (INBOX, ACL, NEWS)
