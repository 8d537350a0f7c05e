"""Which policy an account gets."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from autocreate.core.policy import Match, Policy, is_creating, select
from autocreate.tree.values import Tree


def policy(
    name: str,
    users: Collection[str] = (),
    groups: Collection[str] = (),
    domains: Collection[str] = (),
) -> Policy:
    return Policy(name, Tree(), frozenset(users), frozenset(groups), frozenset(domains))


def of(*groups: str) -> Callable[[], frozenset[str]]:
    return lambda: frozenset(groups)


def not_asked() -> frozenset[str]:
    raise AssertionError("the groups were asked for without need")


EVERYONE = policy("everyone")
STUDENTS = policy("students", groups={"students"})
JOE = policy("joe", users={"joe"})
JOE_OR_STUDENTS = policy("some", users={"joe"}, groups={"students"})
OTHER = policy("other", domains={"other.test"})
OTHER_STUDENTS = policy("other students", groups={"students"}, domains={"other.test"})


def test_the_first_that_matches_decides() -> None:
    assert select([STUDENTS, EVERYONE], "joe", "example.org", of("students")) is STUDENTS
    assert select([EVERYONE, STUDENTS], "joe", "example.org", of("students")) is EVERYONE
    assert select([STUDENTS, EVERYONE], "joe", "example.org", of("staff")) is EVERYONE


def test_none_may_match() -> None:
    assert select([STUDENTS, OTHER], "joe", "example.org", of()) is None
    assert select([], "joe", "example.org", not_asked) is None


def test_users_or_groups_are_enough() -> None:
    assert select([JOE_OR_STUDENTS], "joe", "example.org", of()) is JOE_OR_STUDENTS
    assert select([JOE_OR_STUDENTS], "ann", "example.org", of("students")) is JOE_OR_STUDENTS
    assert select([JOE_OR_STUDENTS], "ann", "example.org", of("staff")) is None


def test_domains_narrow() -> None:
    assert select([OTHER], "joe", "other.test", not_asked) is OTHER
    assert select([OTHER], "joe", "example.org", not_asked) is None
    assert select([OTHER_STUDENTS], "joe", "other.test", of("staff")) is None
    assert select([OTHER_STUDENTS], "joe", "other.test", of("students")) is OTHER_STUDENTS


def test_whether_a_mailbox_is_created_is_known_where_the_groups_change_nothing() -> None:
    no_students = replace(STUDENTS, create=False)
    no_joe = replace(JOE, create=False)

    def creating(*policies: Policy) -> bool | None:
        return is_creating(policies, "joe", "example.org")

    assert creating(EVERYONE) is True
    assert creating(STUDENTS, EVERYONE) is True
    assert creating(EVERYONE, no_students) is True
    assert creating(JOE_OR_STUDENTS, no_students) is True
    assert creating(no_joe, STUDENTS) is False
    assert creating(no_students) is False
    assert creating(OTHER) is False
    assert creating() is False
    assert creating(no_students, EVERYONE) is None
    assert creating(STUDENTS) is None
    assert creating(STUDENTS, no_joe, EVERYONE) is None


def test_groups_are_asked_for_only_if_the_answer_hangs_on_them() -> None:
    assert select([OTHER_STUDENTS, JOE, EVERYONE], "joe", "example.org", not_asked) is JOE
    assert select([JOE, EVERYONE], "ann", "example.org", not_asked) is EVERYONE
    assert select([JOE_OR_STUDENTS], "joe", "example.org", not_asked) is JOE_OR_STUDENTS


def test_a_policy_says_why_it_is_for_somebody_or_not() -> None:
    def why(it: Policy, user: str = "ann") -> Match:
        return it.match(user, "example.org", "lmtp", of("students", "tutors"))

    assert why(EVERYONE) == (True, "it is for everyone")
    assert why(JOE, "joe") == (True, "it names the user")
    assert why(STUDENTS) == (True, "the user is in group 'students'")
    assert why(JOE) == (False, "the user is neither among its users nor in its groups")
    guests = policy("guests", domains={"guests.test"})
    assert why(guests) == (False, "it is for other domains than 'example.org'")
    assert guests.match("ann", "", "lmtp", not_asked) == (
        False,
        "it is for other domains, and the address has none",
    )


def test_a_policy_says_what_narrows_it_to_those_whom_it_is_for() -> None:
    def why(it: Policy, user: str = "ann", service: str = "lmtp") -> Match:
        return it.match(user, "other.test", service, of("students"))

    mail = Policy("mail", Tree(), services=frozenset({"lmtp"}))
    assert why(OTHER) == (True, "its domains have 'other.test'")
    assert why(mail) == (True, "its services have 'lmtp'")
    assert why(mail, service="imap") == (False, "it is for other services than 'imap'")
    assert why(OTHER_STUDENTS) == (
        True,
        "its domains have 'other.test' and the user is in group 'students'",
    )
    assert why(replace(mail, users=frozenset({"ann"}))) == (
        True,
        "its services have 'lmtp' and it names the user",
    )
