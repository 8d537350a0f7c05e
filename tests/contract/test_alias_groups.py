"""Groups in a directory, expanded by us and by Postfix's ldap_table(5): the same keys, the same targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from autocreate.aliases.postmap import PostmapTable
from autocreate.aliases.stages import Found
from autocreate.aliases.syntax import items
from autocreate.aliases.tables import AliasTable
from autocreate.errors import Temporary
from tests.configured import alias_table
from tests.servers.ranges import RangedDirectory
from tests.servers.slapd import GROUPS, PEOPLE, Slapd

from .databases import shared

JOE, KIM, LEE = (f"uid={name},{PEOPLE}" for name in ("joe", "kim", "lee"))
NOBODY = f"uid=nobody,{PEOPLE}"


def group(name: str) -> str:
    return f"cn={name},{GROUPS}"


# Groups by name: their members, further values of `mail`, and of `description`.
MEMBERS: Mapping[str, list[str]] = {
    "team": [JOE, KIM],
    "nested": [group("team"), LEE],
    "twice": [group("team"), group("nested"), JOE],
    "dangling": [JOE, NOBODY],
    "deserted": [NOBODY],
    "odd, name": [LEE],
    "round": [group("about")],
    "about": [group("round"), JOE],
}

PAIRS = {
    "dn and leaf": {"dn_attribute": "member", "leaf_attribute": "mail"},
    "dn and target": {"target_attribute": "mail", "dn_attribute": "member"},
    "all three": {
        "target_attribute": "description",
        "dn_attribute": "member",
        "leaf_attribute": "mail",
    },
    "target": {"target_attribute": "description"},
}

# As ldap_table(5) calls them.
NAMES = {
    "target_attribute": "result_attribute",
    "dn_attribute": "special_result_attribute",
    "leaf_attribute": "leaf_result_attribute",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Slapd]:
    slapd = shared(Slapd)
    slapd.put({"bystander": []})
    for dn in (JOE, KIM, LEE):
        name = dn[4:7]
        mail = [f"{name}@example.org"] + ["lee.two@example.org"] * (name == "lee")
        slapd.add(dn, objectClass="inetOrgPerson", sn="x", cn=name, uid=name, mail=mail)
    for name, members in MEMBERS.items():
        slapd.add(
            group(name.replace(",", "\\,")),
            objectClass=["groupOfNames", "extensibleObject"],
            cn=name,
            member=members,
            mail=f"{name.partition(',')[0]}-list@example.org",
            description=[f"{name.partition(',')[0]}-extra@example.org", "kim"],
        )
    slapd.add(
        group("by-url"),
        objectClass=["groupOfNames", "extensibleObject"],
        cn="by-url",
        member=NOBODY,
        labeledURI=f"ldap:///{PEOPLE}??one?(uid=joe)",
    )
    yield slapd
    slapd.put({"bystander": []})


def ours(server: Slapd, folder: Path, **attributes: Any) -> AliasTable:
    secret = folder / "secret"
    secret.write_text(server.reader_password + "\n")
    bind: dict[str, Any] = {"bind_dn": server.reader, "password_file": secret, "timeout": 5.0}
    keys = {"urls": [server.ldapi_url], "base": GROUPS, "filter": "(cn={key})", **bind}
    return alias_table("ldap", **keys, **attributes)


def postfixs(server: Slapd, folder: Path, **attributes: str) -> PostmapTable:
    (folder / "main.cf").touch()
    parameters = {
        "server_host": server.ldapi_url,
        "version": "3",
        "bind_dn": server.reader,
        "bind_pw": server.reader_password,
        "search_base": GROUPS,
        "query_filter": "(cn=%s)",
        **{theirs: attributes.get(name, "") for name, theirs in NAMES.items()},
    }
    path = folder / "groups.cf"
    path.write_text("".join(f"{name} = {value}\n" for name, value in parameters.items()))
    return PostmapTable("it", map=f"ldap:{path}", config_directory=folder, timeout=30.0)


def targets(found: Found) -> set[str]:
    return set(items(found.text))


@pytest.mark.parametrize("attributes", PAIRS.values(), ids=PAIRS)
def test_a_group_has_the_targets_that_postfix_finds(
    server: Slapd, tmp_path: Path, attributes: dict[str, str]
) -> None:
    table, postmap = (make(server, tmp_path, **attributes) for make in (ours, postfixs))
    names = [name for name in MEMBERS if name not in ("round", "about")]
    expected = {name: targets(postmap.find([name])) for name in names}
    assert {name: targets(table.find([name])) for name in names} == expected
    assert expected["team"]
    table.close()


def test_a_member_can_be_an_ldap_url(server: Slapd, tmp_path: Path) -> None:
    attributes = {"dn_attribute": "labeledURI", "leaf_attribute": "mail"}
    table = ours(server, tmp_path, **attributes)
    found = table.find(["by-url"])
    assert targets(found) == {"joe@example.org"}
    assert targets(postfixs(server, tmp_path, **attributes).find(["by-url"])) == targets(found)
    table.close()


def test_groups_that_are_members_of_each_other_are_temporary_to_both(
    server: Slapd, tmp_path: Path
) -> None:
    attributes = PAIRS["dn and leaf"]
    table = ours(server, tmp_path, **attributes)
    with pytest.raises(Temporary, match=r"groups form a loop: .* -> "):
        table.find(["round"])
    with pytest.raises(Temporary):
        postfixs(server, tmp_path, **attributes).find(["round"])
    table.close()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (JOE, "a DN and not an address: write this attribute as dn_attribute"),
        ("cn=Doe\\, Joe,ou=x", "a DN and not an address"),
        ("Doe, Joe <joe@example.org>", "could be one name or several targets"),
        ("joe doe", "could be one name or several targets"),
    ],
)
def test_a_value_that_an_mta_would_cut_into_pieces_is_temporary(
    server: Slapd, tmp_path: Path, value: str, words: str
) -> None:
    dn = group("cut")
    server.add(dn, objectClass=["groupOfNames", "extensibleObject"], member=JOE, description=value)
    table = ours(server, tmp_path, target_attribute="description")
    try:
        with pytest.raises(Temporary, match=words):
            table.find(["cut"])
    finally:
        server.remove(dn)
        table.close()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"Doe, Joe" <joe@example.org>', {"<joe@example.org>"}),
        ("Joe Doe <joe@example.org>", {"<joe@example.org>"}),
        ("joe@example.org, kim@example.org", {"joe@example.org", "kim@example.org"}),
        ("joe, kim", {"joe", "kim"}),
        ('"joe doe"@example.org', {'"joe doe"@example.org'}),
        ("mail=joe@example.org", {"mail=joe@example.org"}),
        ("#joe@example.org", {"#joe@example.org"}),
        ("|/usr/bin/ticket a, b", {"|/usr/bin/ticket a", "b"}),
    ],
)
def test_every_value_has_targets_of_its_own(
    server: Slapd, tmp_path: Path, value: str, expected: set[str]
) -> None:
    dn = group("own")
    server.add(
        dn,
        objectClass=["groupOfNames", "extensibleObject"],
        member=JOE,
        description=[value, 'unbalanced"quote', "lee"],
    )
    table = ours(server, tmp_path, target_attribute="description")
    try:
        assert targets(table.find(["own"])) == expected | {'unbalanced"quote', "lee"}
    finally:
        server.remove(dn)
        table.close()


def test_members_that_a_server_hands_out_in_ranges_all_count() -> None:
    """As Active Directory does: `member;range=0-1499` (MS-ADTS, 3.1.1.3.1.3.3)."""
    people = {f"cn=User {number},{PEOPLE}": f"user{number}@example.org" for number in range(10)}
    entries: dict[str, dict[str, tuple[str, ...]]] = {
        f"cn=team,{GROUPS}": {"cn": ("team",), "member": tuple(people)},
        **{dn: {"mail": (mail,)} for dn, mail in people.items()},
    }
    with RangedDirectory(entries) as directory:
        options: dict[str, Any] = {**PAIRS["dn and leaf"], "tls": "none"}
        options |= {"urls": [directory.url], "base": GROUPS, "filter": "(cn={key})"}
        table = alias_table("ldap", **options)
        assert targets(table.find(["team"])) == set(people.values())
        directory.instead[3] = "0-2"
        with pytest.raises(Temporary, match="did not answer member;range=3-"):
            table.find(["team"])
        table.close()
