"""Aliases are followed as Postfix and Sendmail follow them, and always to an end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autocreate.aliases.expansion import MAX_SIZE, resolve
from autocreate.aliases.keys import Key, Style, filled_in, keys
from autocreate.aliases.stages import Found, Included, Table
from autocreate.aliases.syntax import folded, members, quoted
from autocreate.core.address import parse
from autocreate.errors import Temporary
from autocreate.model import Address, Resolution

DOMAINS = frozenset(["example.org", "other.test"])


def table(
    style: Style,
    entries: Mapping[str, str],
    *,
    name: str = "it",
    domains: Sequence[str] | None = None,
    origin: str = "",
    files: Mapping[str, str] | None = None,
) -> Table:
    def find(wanted: Sequence[str]) -> Found:
        for position, key in enumerate(wanted):
            if folded(key) in entries:
                return Found(position, entries[folded(key)])
        return Found()

    return Table(
        name,
        style,
        find,
        including(files) if files is not None else None,
        None,
        None if domains is None else frozenset(domains),
        origin,
    )


def including(files: Mapping[str, str]) -> Callable[[str, int], Included]:
    return lambda name, _named_by: Included(members(files[name]))


def virtual(entries: Mapping[str, str], domains: Sequence[str] = (), origin: str = "") -> Table:
    return table(Style.VIRTUAL, entries, domains=domains, origin=origin)


def aliases(entries: Mapping[str, str], files: Mapping[str, str] | None = None) -> Table:
    return table(Style.ALIASES, entries, files=files)


def follow(address: str, *tables: Table, is_mapped: bool = False) -> Resolution:
    return resolve(parse(address), tables, DOMAINS, "+", is_mapped)


def ends(address: str, *tables: Table, is_mapped: bool = False) -> tuple[list[str], list[str]]:
    """Users and others."""
    found = follow(address, *tables, is_mapped=is_mapped)
    return [str(user) for user in found.users], list(found.others)


# -- what is looked up ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("style", "address", "is_local", "expected"),
    [
        (Style.VIRTUAL, "joe@a.test", False, ["joe@a.test", "@a.test"]),
        (
            Style.VIRTUAL,
            "joe+x@a.test",
            True,
            ["joe+x@a.test", "joe@a.test", "joe+x", "joe", "@a.test"],
        ),
        (Style.VIRTUAL, "joe", True, ["joe"]),
        (Style.VIRTUAL, "joe@Bücher.test", False, ["joe@bücher.test", "@bücher.test"]),
        (Style.VIRTUSERTABLE, "joe@Bücher.test", True, ["joe@bücher.test", "@bücher.test"]),
        (Style.VIRTUAL, '"jo e"@a.test', False, ['"jo e"@a.test', "@a.test"]),
        (Style.VIRTUAL, "+x@a.test", False, ["+x@a.test", "@a.test"]),
        (Style.ALIASES, "Joe+X@a.test", True, ["joe+x", "joe"]),
        (Style.SENDMAIL, "Joe+X@a.test", True, ["joe+x"]),
        (Style.SENDMAIL_5, "Joe+X@a.test", True, ["joe+x", "joe+*", "joe"]),
        (Style.SENDMAIL_5, "joe+@a.test", True, ["joe+", "joe+*", "joe"]),
        (Style.SENDMAIL_5, "joe@a.test", True, ["joe"]),
        (Style.ALIASES, "double-bounce@a.test", True, ["double-bounce"]),
        (Style.SENDMAIL, "joe@a.test", False, []),
        (Style.ALIASES, "joe@a.test", False, []),
        (Style.VIRTUSERTABLE, "joe", True, []),
        (Style.VIRTUSERTABLE, "joe@a.test", True, ["joe@a.test", "@a.test"]),
        (
            Style.VIRTUSERTABLE,
            "joe+x@a.test",
            True,
            [
                "joe+x@a.test",
                "joe++@a.test",
                "joe+*@a.test",
                "joe@a.test",
                "++@a.test",
                "+*@a.test",
                "@a.test",
            ],
        ),
        (
            Style.VIRTUSERTABLE,
            "joe+@a.test",
            True,
            ["joe+@a.test", "joe+*@a.test", "joe@a.test", "+*@a.test", "@a.test"],
        ),
    ],
)
def test_keys_are_asked_for_in_the_order_of_the_manual(
    style: Style, address: str, is_local: bool, expected: list[str]
) -> None:
    assert [key.text for key in keys(style, parse(address), is_local, "+")] == expected


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("a-b+c", ["a-b+c", "a"]),
        ("owner-staff", ["owner-staff"]),
        ("staff-request", ["staff-request"]),
        ("-request", ["-request"]),
        ("MAILER-DAEMON", ["mailer-daemon"]),
        ("Double-Bounce", ["double-bounce"]),
        ("mailer-daemon+x", ["mailer-daemon+x", "mailer"]),
        ("+x", ["+x"]),
        ("x+", ["x+", "x"]),
    ],
)
def test_postfix_takes_no_detail_off_its_own_names(local: str, expected: list[str]) -> None:
    found = keys(Style.ALIASES, Address(local, "a.test"), True, "+-")
    assert [key.text for key in found] == expected


def test_the_name_of_a_lists_owner_has_a_detail_where_the_delimiter_is_no_part_of_it() -> None:
    for local in ("owner-staff", "staff-request"):
        found = keys(Style.ALIASES, Address(f"{local}+x", "a.test"), True, "+")
        assert [key.text for key in found] == [f"{local}+x", local]
    found = keys(Style.VIRTUAL, Address("OWNER-Staff", "a.test"), False, "-")
    assert [key.text for key in found] == ["OWNER-Staff@a.test", "@a.test"]


def test_a_virtusertable_finds_no_detail_behind_nothing() -> None:
    found = keys(Style.VIRTUSERTABLE, Address("+x", "a.test"), False, "+")
    assert [key.text for key in found] == ["+x@a.test", "@a.test"]


@pytest.mark.parametrize(
    ("text", "local", "expected"),
    [
        ("%1@other.test", "joe", "joe@other.test"),
        ("%1-%2@other.test", "joe+x", "joe-x@other.test"),
        ("%1%3@other.test", "joe+x", "joe+x@other.test"),
        ("%0", "joe", "joe@a.test"),
        ("a%2%3b@other.test", "joe", "ab@other.test"),
        ("a%%1%9b@other.test", "joe", "a%1b@other.test"),
        ("50%@other.test", "joe", "50%@other.test"),
        ("%1@other.test", '%2,"q"', '"%2,\\"q\\""@other.test'),
        ("%2-%1@other.test", "%2+%1", "%1-%2@other.test"),
        ("error:5.7.0:550 no %1 here", "joe", "error:5.7.0:550 no %1 here"),
        ("ERROR:nouser no %1 here", "joe", "ERROR:nouser no %1 here"),
    ],
)
def test_a_virtusertables_value_is_filled_in_unless_it_is_an_error(
    text: str, local: str, expected: str
) -> None:
    wanted = keys(Style.VIRTUSERTABLE, Address(local, "a.test"), False, "+")
    key = next(it for it in wanted if it.text == f"{quoted(local.partition('+')[0])}@a.test")
    assert filled_in(text, key) == expected


def test_a_sender_cannot_add_a_recipient_to_a_virtusertables_value() -> None:
    tables = [Table("v", Style.VIRTUSERTABLE, lambda keys: Found(len(keys) - 1, "%1@inside.test"))]
    address = parse('"a,victim@inside.test,b"@example.org')
    found = resolve(address, tables, frozenset({"example.org", "inside.test"}), "+")
    assert found.users == (Address("a,victim@inside.test,b", "inside.test"),)
    assert found.others == ()


def test_a_local_part_in_quotes_has_no_detail_for_a_virtusertable() -> None:
    found = keys(Style.VIRTUSERTABLE, parse('"joe+x y"@a.test'), False, "+")
    assert [key.text for key in found] == ['"joe+x y"@a.test', "@a.test"]


def test_the_values_of_other_tables_have_nothing_to_fill_in() -> None:
    assert filled_in("%1@other.test", Key("joe@a.test")) == "%1@other.test"


# -- where it ends --------------------------------------------------------------------------


def test_an_address_without_an_alias_is_its_own_user() -> None:
    found = follow("Joe@example.org", virtual({}), aliases({}))
    assert found == Resolution((Address("Joe", "example.org"),))


def test_all_targets_are_users() -> None:
    sales = virtual({"sales@example.org": "joe@example.org, kim@other.test"})
    assert ends("sales@example.org", sales) == (["joe@example.org", "kim@other.test"], [])


def test_a_chain_leads_through_both_kinds_of_tables_and_is_told() -> None:
    tables = virtual({"a@example.org": "b@example.org"}), aliases({"b": "c", "c": "d"})
    found = follow("a@example.org", *tables)
    assert found.users == (Address("d"),)
    assert found.steps == (
        "a@example.org -> b@example.org (aliases.it)",
        "b@example.org -> c (aliases.it)",
        "c -> d (aliases.it)",
    )


def test_a_catch_all_is_tried_last() -> None:
    caught = virtual({"@example.org": "all@other.test", "joe@example.org": "kim@other.test"})
    assert ends("joe@example.org", caught) == (["kim@other.test"], [])
    assert ends("joe+x@example.org", caught) == (["kim+x@other.test"], [])
    assert ends("lee+x@example.org", caught) == (["all@other.test"], [])


def test_a_catch_all_in_the_first_table_gives_way_to_an_address_in_the_second() -> None:
    tables = virtual({"@example.org": "all@other.test"}), virtual({"joe@example.org": "kim"})
    assert ends("joe@example.org", *tables) == (["kim"], [])


def test_of_two_tables_with_one_address_the_first_counts() -> None:
    tables = virtual({"joe@example.org": "first"}), virtual({"joe@example.org": "second"})
    assert ends("joe@example.org", *tables) == (["first"], [])


def test_a_domain_can_stand_for_another() -> None:
    assert ends("joe+x@example.org", virtual({"@example.org": "@other.test"})) == (
        ["joe+x@other.test"],
        [],
    )


def test_the_detail_is_handed_on_by_virtual_and_not_by_aliases() -> None:
    assert ends("a+x@example.org", virtual({"a@example.org": "b@example.org"})) == (
        ["b+x@example.org"],
        [],
    )
    assert ends("a+x@example.org", aliases({"a": "b"})) == (["b"], [])


def test_a_bare_address_gets_the_origin_of_its_table() -> None:
    entries = {"a@example.org": "b", "b@other.test": "c@other.test"}
    assert ends("a@example.org", virtual(entries, origin="other.test")) == (["c@other.test"], [])
    assert ends("a@example.org", virtual(entries)) == (["b"], [])


def test_a_bare_key_is_for_the_origin_too_and_for_this_hosts_own_addresses() -> None:
    here = virtual({"joe": "kim@other.test"}, ["example.org"], "other.test")
    assert ends("joe@other.test", here) == (["kim@other.test"], [])
    assert ends("joe@[192.0.2.1]", here) == (["kim@other.test"], [])
    to_literal = virtual({"a@example.org": "joe@[192.0.2.1]", "joe": "kim@other.test"})
    assert ends("a@example.org", to_literal) == ([], ["joe@[192.0.2.1]"])


def test_a_bare_name_in_aliases_stays_with_local_or_begins_anew_by_where_the_origin_is() -> None:
    entries = {"staff": "ann, joe", "joe": "kim"}
    rewriting = virtual({"ann@example.org": "x@example.org", "ann@other.test": "y@other.test"})
    here = table(Style.ALIASES, entries, domains=["example.org"], origin="example.org")
    assert ends("staff@example.org", rewriting, here) == (
        ["ann@example.org", "kim@example.org"],
        [],
    )
    there = replace(here, origin="other.test")
    assert ends("staff@example.org", rewriting, there) == (["y@other.test", "joe@other.test"], [])
    elsewhere = replace(here, origin="far.test")
    assert ends("staff@example.org", rewriting, elsewhere) == ([], ["ann@far.test", "joe@far.test"])


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({"staff": "ann", "owner-staff": "boss"}, "x@example.org"),
        ({"staff": "team", "team": "ann", "owner-staff": "boss"}, "x@example.org"),
        ({"staff": ":include:/list"}, "x@example.org"),
        ({"staff": "team", "team": "ann", "owner-ann": "boss"}, "ann@example.org"),
    ],
)
def test_local_hands_on_who_is_behind_an_owner_or_an_included_file(
    entries: Mapping[str, str], expected: str
) -> None:
    rewriting = virtual({"ann@example.org": "x@example.org"})
    here = table(Style.ALIASES, entries, origin="example.org", files={"/list": "ann"})
    assert ends("staff@example.org", rewriting, here) == ([expected], [])


def test_an_address_without_an_alias_does_not_exist_in_a_domain_of_nothing_else() -> None:
    only = replace(
        virtual({"a@other.test": "b@other.test, c@example.org"}),
        alias_domains=frozenset(["other.test"]),
    )
    assert ends("a@other.test", only) == (["c@example.org"], [])
    assert follow("a@other.test", only).unknown == ("b@other.test",)
    assert follow("nosuch@other.test", only).unknown == ("nosuch@other.test",)


def test_the_domains_that_a_table_names_are_ours() -> None:
    names_host = virtual({"a@example.org": "joe@host.test"}, domains=["host.test"])
    assert ends("a@example.org", names_host) == (["joe@host.test"], [])
    assert ends("a@example.org", virtual({"a@example.org": "joe@host.test"})) == (
        [],
        ["joe@host.test"],
    )


def test_a_bare_key_of_virtual_is_for_the_domains_of_its_table() -> None:
    entries = {"joe": "kim@other.test"}
    assert ends("joe@example.org", virtual(entries, ["example.org"])) == (["kim@other.test"], [])
    assert ends("joe@other.test", virtual(entries, ["example.org"])) == (["joe@other.test"], [])


def test_aliases_are_for_the_domains_of_their_table() -> None:
    here = table(Style.ALIASES, {"joe": "kim"}, domains=["example.org", "mx.example.org"])
    assert ends("joe@example.org", here) == (["kim"], [])
    assert ends("joe@other.test", here) == (["joe@other.test"], [])
    assert ends("x@other.test", here, virtual({"x@other.test": "joe@mx.example.org"})) == (
        ["kim"],
        [],
    )


def test_what_is_elsewhere_a_command_or_a_file_is_not_ours() -> None:
    mixed = aliases({"a": 'joe, kim@far.test, "|/bin/cat -v", /dev/null, jo e@@x'})
    assert ends("a@example.org", mixed) == (
        ["joe", "jo"],
        [
            *("|/bin/cat -v", "/dev/null"),
            "a value that is no address in the entry a of aliases.it",
            "kim@far.test",
        ],
    )


def test_an_address_elsewhere_can_be_an_alias_of_ours() -> None:
    tables = virtual({"a@example.org": "b@far.test", "b@far.test": "c@example.org"})
    assert ends("a@example.org", tables) == (["c@example.org"], [])


@pytest.mark.parametrize("target", ["joe", "\\joe", "joe@example.org", "JOE"])
@pytest.mark.parametrize("style", [Style.ALIASES, Style.SENDMAIL, Style.SENDMAIL_5])
def test_an_alias_that_names_itself_is_the_user(style: Style, target: str) -> None:
    found = follow("joe@example.org", table(style, {"joe": f"{target}, kim"}))
    assert {user.local.lower() for user in found.users} == {"joe", "kim"}
    assert found.others == ()


def test_local_looks_up_all_but_the_alias_that_it_came_by() -> None:
    assert ends("joe@example.org", aliases({"joe": "joe+x, kim"})) == (["joe+x", "kim"], [])
    assert ends("joe+x@example.org", aliases({"joe": "joe+x, kim"})) == (["joe+x", "kim"], [])
    assert ends("joe+x@example.org", aliases({"joe+x": "joe+x, kim", "joe": "lee"})) == (
        ["lee", "kim"],
        [],
    )
    with pytest.raises(Temporary, match="form a loop: "):
        follow("joe@example.org", aliases({"joe": "joe+x", "joe+x": "joe"}))


def test_an_alias_that_names_the_same_local_part_elsewhere_does_not_name_itself() -> None:
    moved = aliases({"joe": "joe@far.test", "all": "joe, list", "list": "joe"})
    assert ends("all@example.org", moved) == ([], ["joe@far.test"])


def test_an_address_that_names_itself_ends_nobody_of_its_name_in_another_domain() -> None:
    entries = {
        "a@example.org": "a@example.org, a@other.test",
        "a@other.test": "kim@example.org",
    }
    assert ends("a@example.org", virtual(entries)) == (["a@example.org", "kim@example.org"], [])


def test_an_owner_is_forgotten_where_the_address_leaves_local() -> None:
    entries = {"staff": "x@other.test", "owner-staff": "boss", "team": "ann"}
    local = replace(aliases(entries), domains=frozenset({"example.org"}), origin="example.org")
    rewriting = virtual({"x@other.test": "team@example.org", "ann@example.org": "y@example.org"})
    assert ends("staff@example.org", rewriting, local) == (["ann@example.org"], [])


def test_an_address_that_has_named_itself_can_be_met_again() -> None:
    tables = virtual(
        {"s@example.org": "s@example.org, t@example.org", "t@example.org": "s@example.org"}
    )
    assert ends("s@example.org", tables) == (["s@example.org"], [])
    assert ends("t@example.org", tables) == (["s@example.org"], [])
    assert ends("a@example.org", aliases({"a": "b", "b": "b@example.org, c"})) == (
        ["b@example.org", "c"],
        [],
    )


def test_a_backslash_ends_the_chain_to_sendmail_alone() -> None:
    entries = {"a": "\\b", "b": "c"}
    assert ends("a@example.org", table(Style.SENDMAIL, entries)) == (["b"], [])
    assert ends("a@example.org", aliases(entries)) == (["c"], [])


def test_a_virtual_address_that_names_itself_is_still_looked_up_in_aliases() -> None:
    tables = virtual({"joe@example.org": "joe@example.org"}), aliases({"joe": "kim"})
    assert ends("joe@example.org", *tables) == (["kim"], [])


@pytest.mark.parametrize(
    ("entries", "circle"),
    [
        (
            {"a@example.org": "b@example.org", "b@example.org": "a@example.org"},
            "a@example.org -> b@example.org -> a@example.org",
        ),
        (
            {
                "a@example.org": "joe, b@example.org",
                "b@example.org": "joe, B@other.test",
                "b@other.test": "b@example.org",
            },
            "b@example.org -> B@other.test -> b@example.org",
        ),
        ({"@example.org": "@other.test", "@other.test": "@example.org"}, "a@other.test"),
    ],
)
def test_a_circle_is_temporary_and_is_told(entries: Mapping[str, str], circle: str) -> None:
    with pytest.raises(Temporary, match="form a loop: .*" + circle):
        follow("a@example.org", virtual(entries))


def test_a_detail_that_grows_for_ever_is_temporary() -> None:
    with pytest.raises(
        Temporary, match=r"aliases of a@example\.org are nested more than 100 levels deep"
    ):
        follow("a@example.org", virtual({"a@example.org": "a+x@example.org"}))


def test_a_chain_without_end_is_temporary() -> None:
    def longer(wanted: Sequence[str]) -> Found:
        return Found(0, "x" + wanted[0])

    endless = Table("it", Style.VIRTUAL, longer, domains=frozenset())
    with pytest.raises(Temporary, match="more than 100 levels deep"):
        follow("a@example.org", endless)


def test_an_address_that_several_ways_lead_to_is_followed_once() -> None:
    levels = 40  # each doubles the ways: 2 ** 40 of them
    entries = {
        f"{side}{level}@example.org": f"a{level + 1}, b{level + 1}"
        for level in range(levels)
        for side in "ab"
    }
    found = follow("a0@example.org", virtual(entries, origin="example.org"))
    assert [str(user) for user in found.users] == ["a40@example.org", "b40@example.org"]
    assert len(found.steps) == 2 * levels - 1


def test_only_what_a_table_can_have_is_asked_ahead_of_it() -> None:
    asked: dict[str, list[Sequence[str]]] = {"virtual": [], "local": []}

    def noting(name: str, slow: Table) -> Table:
        def many(questions: Sequence[Sequence[str]]) -> list[Found]:
            asked[name] += questions
            return [slow.find(keys) for keys in questions]

        return replace(slow, name=name, find_many=many)

    entries = {"staff": "ann, joe, kim@far.test"}
    local = replace(aliases(entries), domains=frozenset({"example.org"}), origin="example.org")
    tables = noting("virtual", virtual({})), noting("local", local)
    assert ends("staff@example.org", *tables) == (
        ["ann@example.org", "joe@example.org"],
        ["kim@far.test"],
    )
    # What local(8) delivers begins behind virtual(5), and has nothing of another host's.
    assert asked == {"virtual": [("kim@far.test", "@far.test")], "local": [("ann",), ("joe",)]}


def test_a_table_is_never_asked_for_nothing() -> None:
    def find(wanted: Sequence[str]) -> Found:
        assert wanted
        return Found()

    local = Table("it", Style.ALIASES, find, domains=frozenset({"other.test"}))
    assert ends("joe@example.org", local) == (["joe@example.org"], [])


def test_a_table_that_has_no_key_for_any_member_is_not_asked_ahead() -> None:
    def never(_questions: Sequence[Sequence[str]]) -> Sequence[Found]:
        raise AssertionError("nothing is looked up for these")

    lists = virtual({"staff@example.org": "ann@far.test, kim@far.test"})
    local = replace(aliases({}), find_many=never, domains=frozenset({"example.org"}))
    assert ends("staff@example.org", lists, local) == ([], ["ann@far.test", "kim@far.test"])


def test_a_list_beyond_the_size_limit_is_temporary_and_refuses_nobody() -> None:
    def staff(members: int) -> Table:
        names = ", ".join(f"user{number}" for number in range(members))
        return virtual({"staff@example.org": names}, origin="example.org")

    # The list itself counts, too.
    assert len(follow("staff@example.org", staff(MAX_SIZE - 1)).users) == MAX_SIZE - 1
    with pytest.raises(Temporary) as raised:
        follow("staff@example.org", staff(MAX_SIZE))
    assert str(raised.value) == ("aliases of staff@example.org lead to more than 10000 addresses")


def test_lists_of_lists_are_held_to_the_size_limit_together() -> None:
    lists = 100
    entries = {"all@example.org": ", ".join(f"list{number}" for number in range(lists))} | {
        f"list{number}@example.org": ", ".join(f"user{number}-{it}" for it in range(lists))
        for number in range(lists)
    }
    with pytest.raises(Temporary, match=r"all@example\.org lead to more than 10000 addresses"):
        follow("all@example.org", virtual(entries, origin="example.org"))


def test_a_table_that_cannot_tell_is_named() -> None:
    def away(_wanted: Sequence[str]) -> Found:
        raise Temporary("connection refused")

    with pytest.raises(Temporary, match=r"^aliases\.far: connection refused$"):
        follow("a@example.org", Table("far", Style.VIRTUAL, away))


def test_an_uncertain_table_is_named_whatever_the_others_say() -> None:
    doubtful = Table("it", Style.VIRTUAL, lambda _: Found(uncertainty="line 3 is broken"))
    assert follow("a@example.org", doubtful, aliases({})).uncertainties == (
        "aliases.it: line 3 is broken",
    )


def test_what_a_canonical_table_makes_of_an_address_is_not_mapped_again() -> None:
    entries = {"a@example.org": "b@example.org", "b@example.org": "c@example.org"}
    assert ends("a@example.org", table(Style.CANONICAL, entries)) == (["b@example.org"], [])


def test_canonical_addresses_are_mapped_once_and_then_looked_up() -> None:
    tables = (
        table(Style.CANONICAL, {"joe@example.org": "Joe.Doe@example.org"}, domains=[]),
        virtual({"joe.doe@example.org": "joe@example.org"}),
    )
    assert ends("joe@example.org", *tables) == (["joe@example.org"], [])
    assert ends("joe.doe@example.org", *tables) == (["joe@example.org"], [])


# -- included files -------------------------------------------------------------------------


def test_the_name_of_an_included_file_is_parted_from_the_word_before_it() -> None:
    assert ends("a@example.org", aliases({"a": ":include: /list"}, {"/list": "joe"})) == (
        ["joe"],
        [],
    )


def test_an_included_file_is_part_of_the_alias() -> None:
    files = {"/list": "# members\njoe, kim\n:include:/more\n", "/more": "lee\nstaff\n"}
    staff = aliases({"staff": ":include:/list, max"}, files)
    users, others = ends("staff@example.org", staff)
    assert (sorted(users), others) == (["joe", "kim", "lee", "max", "staff"], [])


def test_what_is_no_address_is_not_shown_but_where_it_is() -> None:
    secret = "root:$6$hash:19000::\n|/bin/cat\njoe\n"
    found = follow(
        "a@example.org", aliases({"a": ":include:/list, x:y:z, |cmd"}, {"/list": secret})
    )
    assert found.users == (Address("joe"),)
    assert found.others == (
        "line 1 (not an address) in :include:/list",
        "line 2 (a command or a file) in :include:/list",
        "a value that is no address in the entry a of aliases.it",
        "|cmd",
    )
    assert found.steps == (
        "a@example.org -> :include:/list, a value that is no address, |cmd (aliases.it)",
        ":include:/list -> line 1 (not an address), line 2 (a command or a file), joe",
    )


def test_a_file_is_named_with_the_rights_of_the_first_owner_who_is_not_root() -> None:
    named: list[tuple[str, int]] = []
    owners = {"/a": 0, "/b": 1001, "/c": 0}
    inner = {"/a": ":include:/b", "/b": ":include:/c", "/c": "joe"}

    def include(name: str, named_by: int) -> Included:
        named.append((name, named_by))
        return Included(members(inner[name]), owners[name])

    tables = [replace(aliases({"x": ":include:/a"}), include=include)]
    resolve(parse("x@example.org"), tables, DOMAINS, "+")
    assert named == [("/a", 0), ("/b", 0), ("/c", 1001)]


def test_a_file_that_is_included_twice_is_read_once() -> None:
    read: list[str] = []

    def include(name: str, _named_by: int) -> Included:
        read.append(name)
        return Included(members("joe, :include:/b" if name == "/a" else "kim"))

    twice = aliases({"x": ":include:/a, :include:/b, :include:/a"})
    assert resolve(
        parse("x@example.org"), [replace(twice, include=include)], DOMAINS, "+"
    ).users == (
        Address("joe"),
        Address("kim"),
    )
    assert read == ["/a", "/b"]


def test_a_member_of_an_included_file_that_leads_back_to_the_alias_meets_the_user() -> None:
    files = {"/list": "boss"}
    tables = aliases({"staff": ":include:/list, staff", "boss": "staff, lee"}, files)
    users, others = ends("staff@example.org", tables)
    assert (sorted(users), others) == (["lee", "staff"], [])


def test_the_members_of_a_list_are_asked_for_at_once_where_that_is_cheaper() -> None:
    asked: list[int] = []
    entries = {"list@example.org": ", ".join(f"m{n}@example.org" for n in range(500))}
    entries["m7@example.org"] = "joe@other.test, kim@other.test"
    slow = virtual(entries)

    def many(questions: Sequence[Sequence[str]]) -> list[Found]:
        asked.append(len(questions))
        return [slow.find(keys) for keys in questions]

    def one(keys: Sequence[str]) -> Found:
        asked.append(1)
        return slow.find(keys)

    found = resolve(
        parse("list@example.org"), [replace(slow, find=one, find_many=many)], DOMAINS, "+"
    )
    assert len(found.users) == 501
    assert asked == [1, 500, 2]


def test_files_that_include_each_other_are_a_circle() -> None:
    files = {"/a": ":include:/b", "/b": ":include:/a"}
    with pytest.raises(Temporary, match=r"loop: :include:/a -> :include:/b -> :include:/a"):
        follow("x@example.org", aliases({"x": ":include:/a"}, files))


def test_a_table_whose_writers_may_name_no_files_includes_none() -> None:
    assert ends("x@example.org", aliases({"x": ":include:/etc/shadow"})) == (
        [],
        [":include:/etc/shadow"],
    )


# -- Sendmail -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("info@example.org", (["joe"], [])),
        ("old@example.org", (["old"], [])),
        ("old+x@example.org", (["new+x@other.test"], [])),
        ("joe@example.org", (["joe@other.test"], [])),
        ("joe+x@example.org", (["joe-x@other.test"], [])),
        ("gone@example.org", ([], ["error:nouser 550 has left"])),
        ("chain@example.org", (["joe"], [])),
    ],
)
def test_a_virtusertable_fills_in_what_it_matched(
    address: str, expected: tuple[list[str], list[str]]
) -> None:
    users = table(
        Style.VIRTUSERTABLE,
        {
            "info@example.org": "joe",
            "old@example.org": "old",
            "old++@example.org": "new%3@other.test",
            "++@example.org": "%1-%2@other.test",
            "@example.org": "%1@other.test",
            "gone@example.org": "error:nouser 550 has left",
            "chain@example.org": "info@example.org",
        },
    )
    assert ends(address, users) == expected


def test_what_sendmail_has_mapped_already_is_not_mapped_again() -> None:
    tables = (
        table(Style.VIRTUSERTABLE, {"info@example.org": "joe", "joe@example.org": "kim"}),
        table(Style.SENDMAIL, {"joe": "joe, lee"}),
    )
    assert ends("info@example.org", *tables) == (["joe", "lee"], [])
    assert ends("joe@example.org", *tables) == (["kim"], [])
    assert ends("joe@example.org", *tables, is_mapped=True) == (["joe", "lee"], [])


def test_what_sendmail_has_mapped_is_local_whatever_its_domain() -> None:
    local = table(Style.ALIASES, {"joe": "kim"}, domains=["mx.example.org"])
    assert ends("joe@example.org", local) == (["joe@example.org"], [])
    assert ends("joe@example.org", local, is_mapped=True) == (["kim"], [])


# -- whatever the tables say ----------------------------------------------------------------

WORDS = [
    *(
        "a",
        "b",
        "c",
        "a+x",
        "\\a",
        "a@example.org",
        "b@example.org",
        "a+x@example.org",
        "c@far.test",
    ),
    *("@example.org", "@far.test", "|cmd", "/file", ":include:/a", ":include:/b", "%1@other.test"),
    *("error:nouser", '"a b"@example.org', "b@", "", '"', "<a@example.org>"),
]
RIGHT = st.lists(st.sampled_from(WORDS), max_size=3).map(", ".join)
ENTRIES = st.dictionaries(st.sampled_from(WORDS), RIGHT, max_size=8)


@given(
    *(ENTRIES, ENTRIES, ENTRIES, RIGHT, RIGHT),
    st.sampled_from(["a", "a+x", "b"]),
    st.booleans(),
    st.sampled_from(["", "example.org", "other.test", "far.test"]),
)
@example({"a@example.org": "a+x"}, {}, {"a": "a"}, "", "", "a", False, "")
@example({"a@example.org": "a"}, {}, {"a": ":include:/a"}, "a, b", "", "a", False, "example.org")
def test_every_address_has_an_end_or_is_temporary(
    by_virtual: dict[str, str],
    by_virtusertable: dict[str, str],
    by_aliases: dict[str, str],
    file_a: str,
    file_b: str,
    local: str,
    is_mapped: bool,
    origin: str,
) -> None:
    tables = (
        table(Style.CANONICAL, by_virtusertable, domains=[]),
        virtual(by_virtual, ["example.org"], "example.org"),
        table(Style.VIRTUSERTABLE, by_virtusertable),
        replace(aliases(by_aliases, {"/a": file_a, "/b": file_b}), origin=origin),
        table(Style.SENDMAIL_5, by_aliases),
    )
    try:
        found = follow(f"{local}@example.org", *tables, is_mapped=is_mapped)
    except Temporary:
        return
    assert found.users or found.others or found.steps
    assert all(user.domain in ("", *DOMAINS) for user in found.users)


def test_a_bare_name_is_looked_up_by_sendmail_whatever_domains_are_local() -> None:
    entries = {"a": "b", "b": "joe"}
    local = table(Style.SENDMAIL, entries, domains=["example.org"])
    assert ends("a@example.org", local) == (["joe"], [])
