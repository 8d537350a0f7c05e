"""What a file of accounts or groups says does not depend on the pieces in which it is read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate.accounts.user_lines import User, parse_groups, parse_table, parse_users
from autocreate.core.naming import CYRUS_DEFAULTS, Users

DOMAINS = frozenset({"a"})
# Few characters, so that names are alike: capitals, fields, domains, comments, line ends that Python knows besides \n.
LINES = st.lists(st.text("aAé:@# \x0b,1", max_size=8), max_size=6)
USERS = [
    CYRUS_DEFAULTS,
    Users(to_lower=False),
    Users(logins_to_lower=False),
    Users(virtual_domains=True, default_domain="a"),
]


def pieces(lines: list[str], end: str, many: int) -> Iterator[str]:
    """The lines, so many in a piece; the last one ends with `end`."""
    text = "\n".join(lines) + end
    whole = text.splitlines(keepends=True) if "\x0b" not in text else [text]
    return ("".join(whole[at : at + many]) for at in range(0, len(whole), many))


def as_dict(text: str) -> dict[str, User]:
    """The lines of accounts by name, as simply as one can say it."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    is_passwd = any(line.count(":") >= 3 for line in lines)
    is_cut = any(it.strip()[:1] not in ("", "#") for it in text.rpartition("\n")[2].splitlines())
    users = {}
    for number, line in enumerate(lines, 1):
        name, *fields = line.split(":")
        ends_here = is_cut and number == len(lines)
        if not fields:
            users[name.strip()] = User("", ends_here)
        elif len(fields) >= 3 + ends_here:
            users[name.strip()] = User(fields[2])
        else:
            users[name.strip()] = User(None if is_passwd or ends_here else "")
    return users


@pytest.mark.parametrize("users", USERS)
@given(LINES, st.sampled_from(["", "\n"]), st.integers(1, 3))
def test_users_are_those_of_a_dict_of_all_lines(
    users: Users, lines: list[str], end: str, many: int
) -> None:
    expected = as_dict("\n".join(lines) + end)
    read = parse_users(users, pieces(lines, end, many))
    assert bool(read) == bool(expected)
    assert dict.fromkeys(read) == dict.fromkeys(expected)
    for name, user in expected.items():
        assert read.user(name) == user
    for asked in [*expected, *map(users.of_account, expected), "aa", "A"]:
        odd = {name for name in expected if users.of_account(name).lower() == asked}
        assert set(read.spellings(asked)) == odd | ({asked} & expected.keys())


@given(LINES, st.sampled_from(["", "\n"]), st.integers(1, 3))
def test_a_table_has_its_keys_and_their_local_parts_in_our_domains(
    lines: list[str], end: str, many: int
) -> None:
    text = "\n".join(lines) + end
    words = [it.split() for it in text.splitlines() if it.strip() and it[0] not in "# \t"]
    keys = [it[0].lower() for it in words]
    locals_ = {key[:-2] for key in keys if key.endswith("@a") and len(key) > 2}
    expected = {
        key for key in keys if not key.startswith("@") or (key[1:-2] and key.endswith("@a"))
    }
    read = parse_table(DOMAINS, CYRUS_DEFAULTS, pieces(lines, end, many))
    assert set(read) == expected | locals_


def test_a_key_of_a_table_that_the_text_ends_with_may_go_on() -> None:
    read = parse_table(DOMAINS, CYRUS_DEFAULTS, iter(["joe@a OK\n", "ann@a"]))
    assert [read.user(it).may_go_on for it in ("joe", "ann", "ann@a")] == [False, True, True]
    assert not parse_table(DOMAINS, CYRUS_DEFAULTS, iter(["ann@a OK"])).user("ann").may_go_on


@pytest.mark.parametrize("users", USERS)
@given(LINES, st.integers(1, 3), st.sampled_from(["a", "A", "aa", "é"]), st.sampled_from("1a"))
def test_groups_are_found_by_member_and_by_number(
    users: Users, lines: list[str], many: int, user: str, number: str
) -> None:
    text = "\n".join(lines) + "\n"
    stripped = [line.strip() for line in text.splitlines()]
    groups = [it.split(":", 3) for it in stripped if it and not it.startswith("#")]
    expected = {
        name.strip()
        for name, *rest in groups
        if (rest[1:2] == [number])
        or user in [users.of_account(it.strip()) for it in ",".join(rest[2:]).split(",")]
    }
    read = parse_groups(users, pieces(lines, "\n", many))
    assert len(read) == len(groups)
    assert read.of(user, number) == expected


def test_a_group_may_have_more_members_than_are_read_at_a_time() -> None:
    members = [f"user{number}" for number in range(20_000)]
    read = parse_groups(CYRUS_DEFAULTS, iter([f"all:x:1:{','.join(members)}\nno:x:2:\n"]))
    assert all(read.of(member, "") == {"all"} for member in members)
    assert read.of("user20000", "") == frozenset()
