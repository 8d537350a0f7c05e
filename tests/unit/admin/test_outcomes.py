"""What became of a user, and of all users together."""

from __future__ import annotations

import pytest

from autocreate.admin.outcomes import State, Summary, outcome_of
from autocreate.model import Answer, Verdict
from autocreate.tree.actions import CreateMailbox, Subscribe, SubscribeShared
from autocreate.tree.plan import ApplyResult, Failure, Plan

PLAN = Plan("joe", "everyone", (CreateMailbox(("Sent",)), Subscribe(("Sent",))))
NOT_ALL = ApplyResult(PLAN, failed=(Failure(PLAN.actions[1], "Cyrus is away"),))
IMPOSSIBLE = ApplyResult(PLAN, skipped=(Failure(PLAN.actions[0], "Invalid name"),))
SHARED = Plan("joe", "everyone", (SubscribeShared("News"),))


def accepted(**facts: object) -> Verdict:
    return Verdict(Answer.ACCEPT, "", "joe", **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdict", "is_applied", "state"),
    [
        (accepted(plan=PLAN), False, State.PLANNED),
        (accepted(plan=PLAN), True, State.COMPLETED),
        (accepted(plan=PLAN, report=ApplyResult(PLAN), created=True), True, State.CREATED),
        (accepted(plan=PLAN, report=NOT_ALL, created=True), True, State.UNFINISHED),
        (accepted(plan=PLAN, report=IMPOSSIBLE), True, State.UNFINISHED),
        (accepted(), True, State.UP_TO_DATE),
        (accepted(plan=Plan("joe", "everyone")), False, State.UP_TO_DATE),
        (Verdict(Answer.PASS, ""), True, State.SKIPPED),
        (Verdict(Answer.UNKNOWN, ""), True, State.NO_MAILBOX),
        (Verdict(Answer.MALFORMED, ""), True, State.MALFORMED),
        (Verdict(Answer.TEMPORARY, "", plan=PLAN), True, State.FAILED),
    ],
)
def test_what_became_of_a_user(verdict: Verdict, is_applied: bool, state: State) -> None:
    assert outcome_of("joe", verdict, is_applied) == ("joe", verdict, state)


def test_a_shared_folder_that_does_not_exist_leaves_nothing_unfinished() -> None:
    report = ApplyResult(SHARED, skipped=(Failure(SHARED.actions[0], "Mailbox does not exist"),))
    verdict = accepted(plan=SHARED, report=report)
    assert outcome_of("joe", verdict, is_applied=True).state is State.COMPLETED


@pytest.mark.parametrize("answer", Answer)
def test_every_answer_leads_to_a_state(answer: Answer) -> None:
    assert outcome_of("joe", Verdict(answer, ""), is_applied=True).state in State


def test_a_summary_counts_states_and_has_the_highest_exit_status() -> None:
    summary = Summary()
    assert (str(summary), summary.exit_status) == ("nothing to do", 0)
    for answer in (Answer.TEMPORARY, Answer.UNKNOWN, Answer.ACCEPT, Answer.UNKNOWN):
        summary.add(outcome_of("joe", Verdict(answer, ""), is_applied=True))
    assert str(summary) == "1 failed, 1 up to date, 2 without a mailbox"
    assert summary.exit_status == 75


def test_an_unfinished_tree_counts_by_what_is_wrong_with_it() -> None:
    summary = Summary()
    summary.add(outcome_of("joe", accepted(plan=PLAN, report=IMPOSSIBLE), is_applied=True))
    assert summary.exit_status == 78


def test_the_problems_of_a_review_remain_when_its_plans_are_carried_out() -> None:
    review = Summary()
    for verdict in (
        accepted(plan=PLAN),
        Verdict(Answer.TEMPORARY, ""),
        Verdict(Answer.PASS, ""),
        Verdict(Answer.UNKNOWN, ""),
    ):
        review.add(outcome_of("joe", verdict, is_applied=False))
    problems = review.problems()
    assert str(problems) == "1 failed, 1 without a mailbox"
    assert problems.exit_status == 75
    problems.add(outcome_of("joe", accepted(plan=PLAN), is_applied=True))
    assert review.counts[State.COMPLETED] == 0  # it is a copy


def test_what_carrying_out_plans_does_not_mend_is_a_problem() -> None:
    assert {state.value for state in State if state.is_problem} == {
        "failed",
        "malformed",
        "refused",
        "without a mailbox",
    }
