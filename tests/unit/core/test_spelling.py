"""A name that a database found is the user's, somebody else's, or says neither."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate.core.naming import CYRUS_DEFAULTS, Users
from autocreate.core.spelling import (
    Spellings,
    own_name,
    shared_groups,
    spelling_key,
    spelling_keys,
)
from autocreate.errors import Temporary

VIRTUAL = Users(virtual_domains=True, default_domain="example.org")
AS_WRITTEN = Users(to_lower=False, logins_to_lower=False)
MAIL_ONLY = Users(logins_to_lower=False)
LOGINS_ONLY = Users(to_lower=False)

FULL_WIDTH = "\uff4a\uff4f\uff45"  # joe
NO_BREAK = "jo\u00a0e"
SOFT_HYPHEN = "jo\u00ade"
KELVIN = "\u212aim"


@pytest.mark.parametrize(
    ("users", "user", "found", "name"),
    [
        (CYRUS_DEFAULTS, "joe", ["joe"], "joe"),
        (CYRUS_DEFAULTS, "klee", ["KLee"], "KLee"),
        (CYRUS_DEFAULTS, "klee", ["kathy.lee", "KLee"], "KLee"),
        (CYRUS_DEFAULTS, "klee", ["KLee", "klee"], "klee"),
        (CYRUS_DEFAULTS, "jörg", ["jörg"], "jörg"),
        (VIRTUAL, "klee@other.test", ["KLee@Other.Test"], "KLee@Other.Test"),
        (VIRTUAL, "klee", ["KLee@example.org"], "KLee@example.org"),
        (AS_WRITTEN, "KLee", ["KLee"], "KLee"),
        (MAIL_ONLY, "klee", ["klee"], "klee"),
        (LOGINS_ONLY, "klee", ["KLee"], "KLee"),
    ],
)
def test_the_users_own_name(users: Users, user: str, found: Sequence[str], name: str) -> None:
    assert own_name(user, found, users) == name


@pytest.mark.parametrize(
    ("user", "found"),
    [
        (FULL_WIDTH, ["joe"]),
        (FULL_WIDTH, ["Joe"]),
        (NO_BREAK, ["jo e"]),
        (NO_BREAK, ["joe"]),
        (SOFT_HYPHEN, ["joe"]),
        (KELVIN, ["kim"]),
        ("josé", ["jose"]),
        ("straße", ["strasse"]),
        (FULL_WIDTH, ["joseph", "joe"]),  # of one entry
    ],
)
def test_a_name_that_no_cyrus_user_can_have_is_a_no_where_somebody_else_is_found_for_it(
    user: str, found: Sequence[str]
) -> None:
    assert own_name(user, found, CYRUS_DEFAULTS) is None


@pytest.mark.parametrize(
    ("users", "user", "found", "words"),
    [
        # Nobody knows which of the two entries says the quota.
        (CYRUS_DEFAULTS, "klee", ["KLEE", "KLee"], "to Cyrus these are one user"),
        (CYRUS_DEFAULTS, "joe", ["kim"], "'kim' when asked for 'joe'; it must be the user id"),
        (CYRUS_DEFAULTS, "joe", [], "nothing when asked for 'joe'"),
        (CYRUS_DEFAULTS, "joe", ["joe "], "'joe ' when asked for 'joe'"),
        (CYRUS_DEFAULTS, "joe", ["joe@example.org"], "it must be the user id"),
        # The account exists, and its user may well log in as `joe`.
        (CYRUS_DEFAULTS, "joe", [FULL_WIDTH], "when asked for 'joe'"),
        (CYRUS_DEFAULTS, "jose", ["josé"], "when asked for 'jose'"),
        # One name, composed and decomposed: it is the account, and Cyrus cannot have it.
        (CYRUS_DEFAULTS, "jos\u00e9", ["jose\u0301"], "when asked for"),
        # Not alike: what is asked is wrong, and says nothing of anybody.
        (CYRUS_DEFAULTS, "jörg", ["joerg@example.org"], "it must be the user id"),
        (CYRUS_DEFAULTS, "jörg", ["kim"], "it must be the user id"),
        (MAIL_ONLY, "klee", ["KLee"], "lmtp_downcase_rcpt or username_tolower is off"),
        (AS_WRITTEN, "KLee", ["klee"], "lmtp_downcase_rcpt or username_tolower is off"),
        (LOGINS_ONLY, "KLee", ["KLee"], "lmtp_downcase_rcpt or username_tolower is off"),
    ],
)
def test_a_name_that_says_neither_is_a_doubt(
    users: Users, user: str, found: Sequence[str], words: str
) -> None:
    with pytest.raises(Temporary, match=words):
        own_name(user, found, users)


NAMES = st.text("aAbBé ", min_size=1, max_size=3)


@given(st.lists(NAMES, max_size=6), NAMES.map(str.lower))
def test_what_is_indexed_is_found_in_any_case_and_nothing_else(names: list[str], user: str) -> None:
    found = Spellings(names, CYRUS_DEFAULTS).of(user)
    # Not str.lower(): Cyrus lowers ASCII alone.
    assert set(found) == {
        name for name in names if CYRUS_DEFAULTS.of_account(name) == user and name != user
    }


@pytest.mark.parametrize(
    "users",
    [
        CYRUS_DEFAULTS,
        Users(logins_to_lower=False),
        Users(virtual_domains=True),
        Users(virtual_domains=True, default_domain="b.b"),
        Users(virtual_domains=True, default_domain="b.b", logins_to_lower=False),
    ],
)
@given(st.lists(st.text("aAbBé@. "), max_size=6))
def test_many_names_have_the_keys_that_each_has_alone(users: Users, names: list[str]) -> None:
    assert [*spelling_keys(names, users)] == [spelling_key(name, users) for name in names]


@pytest.mark.parametrize(
    ("wanted", "groups", "shared"),
    [
        ({"students"}, {"Students"}, ["students"]),
        ({"Domain Users"}, {"domain  users", "staff"}, ["Domain Users"]),
        ({"STUDIERENDE-GRÖSSE"}, {"studierende-größe"}, ["STUDIERENDE-GRÖSSE"]),
        ({"b", "a", "c"}, {"A", "B"}, ["a", "b"]),
        ({"student"}, {"students"}, []),
        ({"resume"}, {"résumé"}, []),
        (set(), {"students"}, []),
    ],
)
def test_group_names_are_compared_as_ldap_compares_cn(
    wanted: set[str], groups: set[str], shared: list[str]
) -> None:
    assert shared_groups(wanted, groups) == shared


def test_a_name_that_cannot_be_told_apart_is_deferred_with_the_names_that_were_found() -> None:
    with pytest.raises(Temporary) as raised:
        own_name("klee", ["KLEE", "kim", "KLee"], CYRUS_DEFAULTS)
    assert str(raised.value).startswith("'KLEE', 'KLee' when asked for 'klee'; ")
    with pytest.raises(Temporary) as raised:
        own_name("joe", ["kim", "ann"], CYRUS_DEFAULTS)
    assert str(raised.value).startswith("'kim', 'ann' when asked for 'joe'; ")


@pytest.mark.parametrize(
    ("wanted", "present", "is_shared"),
    [
        ("Staff", "staff", True),
        ("night  shift", " Night Shift ", True),
        ("nightshift", "night shift", False),
        ("\uff33taff", "staff", True),  # full width, as caseIgnoreMatch has it
        ("staff", "staffs", False),
    ],
)
def test_groups_are_compared_as_ldap_does(wanted: str, present: str, is_shared: bool) -> None:
    assert bool(shared_groups([wanted], [present])) is is_shared
