"""What becomes of a plan when a store says no: what is skipped, what failed, and what is not tried."""

from __future__ import annotations

from autocreate.errors import Reason, Refused, Temporary
from autocreate.mailstore import Outcome
from autocreate.tree.actions import CreateMailbox, SetAcl, SetQuota, Subscribe, SubscribeShared
from autocreate.tree.base import Action
from autocreate.tree.plan import Failure, Plan
from autocreate.tree.values import Quota

INBOX = CreateMailbox(())
QUOTA = SetQuota(Quota(5))
ARCHIVE = CreateMailbox(("Archive",))
BELOW = CreateMailbox(("Archive", "2026"))
SENT = CreateMailbox(("Sent",))
PLAN = (INBOX, QUOTA, ARCHIVE, BELOW, SENT)


class Store:
    """Says no to some actions, and remembers what it was asked to do."""

    def __init__(self, refusals: dict[Action, Reason]) -> None:
        self.tried: list[Action] = []
        self._refusals = refusals

    def carry_out(self, action: Action) -> None:
        self.tried.append(action)
        if reason := self._refusals.get(action):
            raise Refused(reason.name, reason)


def attempt(refusals: dict[Action, Reason], *actions: Action) -> tuple[Outcome, Store]:
    outcome, store = Outcome(), Store(refusals)
    outcome.attempt(actions, store.carry_out)
    return outcome, store


def test_all_is_done_where_nothing_is_refused() -> None:
    outcome, store = attempt({}, *PLAN)
    assert store.tried == [*PLAN]
    assert outcome.of(Plan("joe", "p", PLAN)).done == PLAN


def test_a_refusal_that_may_pass_is_worth_another_attempt_and_stops_nothing() -> None:
    outcome, store = attempt({ARCHIVE: Reason.OTHER}, *PLAN)
    assert store.tried == [*PLAN]
    assert (outcome.failed, outcome.skipped) == ([Failure(ARCHIVE, "OTHER")], [])


def test_what_can_never_be_is_skipped_with_all_below_it() -> None:
    grant = SetAcl(("Archive",), "anyone", "p")
    outcome, store = attempt({ARCHIVE: Reason.IMPOSSIBLE}, *PLAN, grant)
    assert store.tried == [INBOX, QUOTA, ARCHIVE, SENT]
    assert outcome.failed == []
    assert outcome.skipped == [Failure(it, "IMPOSSIBLE") for it in (ARCHIVE, BELOW, grant)]


def test_another_part_skips_what_an_earlier_one_could_not_create() -> None:
    earlier, _ = attempt({ARCHIVE: Reason.IMPOSSIBLE}, *PLAN)
    later, store = Outcome(earlier), Store({})
    users = (Subscribe(("Archive",)), Subscribe(()), SubscribeShared("News"))
    later.attempt(users, store.carry_out)
    assert store.tried == [Subscribe(()), SubscribeShared("News")]
    assert later.skipped == [Failure(Subscribe(("Archive",)), "IMPOSSIBLE")]


def test_nothing_is_tried_after_an_essential_action_failed() -> None:
    for reason in (Reason.OTHER, Reason.IMPOSSIBLE):
        outcome, store = attempt({INBOX: reason}, *PLAN)
        assert store.tried == [INBOX]
        assert outcome.failed == [
            Failure(INBOX, reason.name),
            *(Failure(it, "not tried: create INBOX failed") for it in PLAN[1:]),
        ]
        assert not outcome.of(Plan("joe", "p", PLAN)).usable


def test_a_part_that_breaks_off_failed_as_a_whole() -> None:
    broken = Outcome.broken_off(PLAN, Temporary("connection lost"))
    assert broken.failed == [Failure(action, "connection lost") for action in PLAN]
    assert broken.skipped == []
