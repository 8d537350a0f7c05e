"""One verdict for an address that leads to several users, or to none."""

from __future__ import annotations

from itertools import permutations

import pytest

from autocreate.aliases.combine import combined
from autocreate.model import Address, Answer, Lookup, Reply, Resolution, Verdict

STAFF = Resolution(steps=("staff -> ann, joe",))
FULL = Reply("452", "4.2.2", "Mailbox full")
TOO_LARGE = Reply("552", "5.2.3", "Message too large")


def part(answer: Answer, user: str = "joe", reason: str = "why") -> Verdict:
    return Verdict(answer, reason, user, "staff", "everyone")


ACCEPTED = part(Answer.ACCEPT, "ann")
PASSED = part(Answer.PASS, "bb")
UNKNOWN = part(Answer.UNKNOWN, "gone")
REFUSED = Verdict(Answer.REFUSED, "over quota", "full", refusal=FULL)
TEMPORARY = part(Answer.TEMPORARY, "kim")


@pytest.mark.parametrize(
    ("parts", "answer"),
    [
        ((ACCEPTED, ACCEPTED), Answer.ACCEPT),
        ((ACCEPTED, UNKNOWN), Answer.ACCEPT),
        ((ACCEPTED, REFUSED), Answer.ACCEPT),
        ((ACCEPTED, PASSED), Answer.ACCEPT),
        ((TEMPORARY, ACCEPTED), Answer.TEMPORARY),
        ((TEMPORARY, UNKNOWN), Answer.TEMPORARY),
        ((TEMPORARY, PASSED), Answer.TEMPORARY),
        ((TEMPORARY, REFUSED), Answer.TEMPORARY),
        ((PASSED, UNKNOWN), Answer.PASS),
        ((PASSED, REFUSED), Answer.PASS),
        ((UNKNOWN, REFUSED), Answer.REFUSED),
        ((UNKNOWN, UNKNOWN), Answer.UNKNOWN),
        ((REFUSED, REFUSED), Answer.REFUSED),
        ((UNKNOWN,), Answer.UNKNOWN),
        ((ACCEPTED, UNKNOWN, REFUSED, PASSED), Answer.ACCEPT),
        ((ACCEPTED, UNKNOWN, REFUSED, PASSED, TEMPORARY), Answer.TEMPORARY),
    ],
)
def test_a_no_of_some_refuses_no_address_and_a_failed_lookup_of_one_defers_it(
    parts: tuple[Verdict, ...], answer: Answer
) -> None:
    for order in permutations(parts):
        assert combined(STAFF, order).answer is answer


@pytest.mark.parametrize("parts", [(), (UNKNOWN,), (REFUSED,), (UNKNOWN, REFUSED)])
def test_an_address_that_also_leads_elsewhere_is_never_refused(parts: tuple[Verdict, ...]) -> None:
    elsewhere = Resolution(others=("kim@far.test",), steps=("staff -> kim@far.test",))
    assert combined(elsewhere, parts).answer is Answer.PASS


@pytest.mark.parametrize(
    ("others", "parts", "answer"),
    [
        # Another alias might lead to somebody.
        ((), (), Answer.TEMPORARY),
        ((), (UNKNOWN,), Answer.TEMPORARY),
        ((), (REFUSED,), Answer.TEMPORARY),
        ((), (UNKNOWN, UNKNOWN), Answer.TEMPORARY),
        # What goes through does so whatever else there is.
        ((), (ACCEPTED,), Answer.ACCEPT),
        ((), (PASSED,), Answer.PASS),
        ((), (ACCEPTED, UNKNOWN), Answer.ACCEPT),
        (("kim@far.test",), (), Answer.PASS),
        (("kim@far.test",), (UNKNOWN,), Answer.PASS),
    ],
)
def test_a_failed_table_defers_what_would_be_refused_and_nothing_else(
    others: tuple[str, ...], parts: tuple[Verdict, ...], answer: Answer
) -> None:
    resolution = Resolution(others=others, uncertainties=("aliases.far: connection refused",))
    assert combined(resolution, parts).answer is answer


def test_the_reason_says_whether_an_alias_was_found_where_a_table_failed() -> None:
    doubts = ("aliases.far: connection refused",)
    assert combined(Resolution(uncertainties=doubts), [UNKNOWN]).reason == (
        "no alias was found, but one may exist: aliases.far: connection refused"
    )
    found = Resolution(steps=("a -> b",), uncertainties=doubts)
    assert combined(found, [UNKNOWN]).reason == (
        "an alias was found, but another may exist: aliases.far: connection refused"
    )
    assert combined(found, [UNKNOWN]).parts == (UNKNOWN,)


def test_an_alias_that_leads_to_nobody_passes() -> None:
    verdict = combined(Resolution(steps=("nobody -> nobody",)), [])
    assert (verdict.answer, verdict.reason) == (Answer.PASS, "the alias leads to nobody")


def test_an_address_of_one_user_has_that_users_verdict() -> None:
    verdict = combined(Resolution(steps=("staff -> ann",)), [ACCEPTED])
    assert (verdict.user, verdict.reason, verdict.policy) == ("ann", "why", "everyone")
    assert verdict.parts == ()
    assert verdict.aliases == ("staff -> ann",)
    also = Resolution(others=("kim@far.test",), steps=("staff -> ann, kim@far.test",))
    assert combined(also, [ACCEPTED]).reason == "why; not ours: kim@far.test"


def test_of_several_the_gravest_is_told_first_and_all_of_them_are() -> None:
    nobody = Verdict(Answer.UNKNOWN, "has no alias", address=Address("x", "alias.test"))
    also = Resolution(others=("|/bin/true",), steps=STAFF.steps)
    verdict = combined(also, [ACCEPTED, nobody, TEMPORARY])
    assert verdict.reason == (
        "kim: why; x@alias.test: has no alias; ann: why; not ours: |/bin/true"
    )
    assert verdict.user == "kim, ann"
    assert (verdict.source, verdict.policy) == ("staff", "everyone")
    assert verdict.parts == (TEMPORARY, nobody, ACCEPTED)
    assert verdict.aliases == STAFF.steps


def test_a_mailbox_that_was_created_for_one_is_created_for_the_address() -> None:
    created = Verdict(Answer.ACCEPT, "created", "joe", created=True)
    assert combined(STAFF, [ACCEPTED, created]).created
    assert not combined(STAFF, [ACCEPTED, UNKNOWN]).created


def test_of_several_refusals_the_one_that_may_end_is_told() -> None:
    large = Verdict(Answer.REFUSED, "too large", "ann", refusal=TOO_LARGE)
    for parts in ([REFUSED, large], [large, REFUSED]):
        assert combined(STAFF, parts).refusal == FULL
    assert combined(STAFF, [large, UNKNOWN]).refusal == TOO_LARGE
    assert combined(STAFF, [large, ACCEPTED]).refusal is None


def test_all_that_was_asked_on_the_way_is_told() -> None:
    aliases, accounts = Lookup("aliases.it", 1.0), Lookup("accounts.staff", 2.0)
    resolution = Resolution(steps=("a -> b",), asked=(aliases,))
    verdict = Verdict(Answer.ACCEPT, "why", "joe", asked=(accounts,))
    assert combined(resolution, [verdict]).asked == (aliases, accounts)
