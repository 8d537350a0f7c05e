"""Plans are kept until they are carried out, and are carried out only as they were reviewed."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from autocreate.admin.plans import Changed, Plans
from autocreate.model import Answer, Verdict
from autocreate.tree.actions import CreateMailbox, Subscribe
from autocreate.tree.plan import Plan

PLAN = Plan("joe", "everyone", (CreateMailbox(("Sent",)), Subscribe(("Sent",))))


def test_plans_are_carried_out_only_as_they_were_reviewed() -> None:
    first, second = Verdict(Answer.ACCEPT, "", "joe", plan=PLAN), Verdict(Answer.ACCEPT, "", "ann")
    with Plans() as plans, Plans() as again:
        plans.add("joe", first)
        plans.add("ann", second)  # has nothing to do
        assert len(plans) == 1
        assert list(plans.verdicts()) == [("joe", first)]
        again.add("joe", first)
        again.require(plans.checksum())
        again.add("kim", Verdict(Answer.ACCEPT, "", "kim", plan=Plan("kim", "p", PLAN.actions)))
        with pytest.raises(Changed, match="the plans have changed since the review"):
            again.require(plans.checksum())


def test_the_order_in_which_plans_come_does_not_change_their_checksum() -> None:
    verdicts = {
        user: Verdict(Answer.ACCEPT, "", user, plan=Plan(user, "p", PLAN.actions))
        for user in ("ann", "joe")
    }
    with Plans() as one, Plans() as other:
        for user in ("ann", "joe"):
            one.add(user, verdicts[user])
        for user in ("joe", "ann"):
            other.add(user, verdicts[user])
        assert one.checksum() == other.checksum()


def test_no_second_thread_may_read_plans_as_it_could_get_those_of_another_user() -> None:
    with Plans() as plans, ThreadPoolExecutor(1) as executor:
        plans.add("joe", Verdict(Answer.ACCEPT, "", "joe", plan=PLAN))
        read = executor.submit(lambda: list(plans.verdicts()))
        with pytest.raises(sqlite3.ProgrammingError, match="thread"):
            read.result()
