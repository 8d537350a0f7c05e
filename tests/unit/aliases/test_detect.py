"""What is proposed for [aliases] is what the MTA is told, in words that the configuration takes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from autocreate.aliases.detect import (
    Proposal,
    alias_domains,
    as_toml,
    from_postfix,
    from_sendmail,
    sendmail_style,
)
from autocreate.config.aliases import Aliases

SENDMAIL = """\
Cwlocalhost
Cw mx.example.org
Fw/etc/mail/local-host-names
O AliasFile=/etc/mail/aliases, hash:/etc/mail/lists,nis:mail.aliases@map
Kvirtuser hash -o -T<TMPF> /etc/mail/virtusertable
Kmailertable hash /etc/mail/mailertable
"""


def read(path: str) -> str | None:
    return {
        "/etc/mailname": "example.org\n",
        "/etc/mail/local-host-names": "# ours\nexample.org\n\n",
        "/etc/postfix/ours": "example.org, other.test\n",
    }.get(path)


def toml(proposals: list[Proposal]) -> Mapping[str, Mapping[str, Any]]:
    text = "\n".join(as_toml(proposals))
    found: Mapping[str, Mapping[str, Any]] = tomllib.loads(text).get("aliases", {})
    return found


def test_each_map_of_postfix_is_a_table_asked_in_its_order() -> None:
    parameters = {
        "canonical_maps": "regexp:/etc/postfix/canonical",
        "virtual_alias_maps": "texthash:/etc/postfix/virtual, proxy:mysql:/etc/postfix/my.cf /etc/x",
        "alias_maps": "hash:/etc/aliases nis:mail.aliases",
        "mydestination": "example.org, localhost, hash:/etc/postfix/more",
        "myorigin": "/etc/mailname",
        "default_database_type": "lmdb",
    }
    domains = ["example.org", "localhost"]
    assert toml(from_postfix(parameters, "/etc/postfix", read)) == {
        "canonical": {
            "type": "postmap",
            "map": "regexp:/etc/postfix/canonical",
            "style": "canonical",
            "domains": domains,
            "origin": "example.org",
        },
        "virtual": {
            "type": "file",
            "path": "/etc/postfix/virtual",
            "domains": domains,
            "origin": "example.org",
        },
        "virtual2": {
            "type": "postmap",
            "map": "mysql:/etc/postfix/my.cf",
            "domains": domains,
            "origin": "example.org",
        },
        "virtual3": {
            "type": "postmap",
            "map": "lmdb:/etc/x",
            "domains": domains,
            "origin": "example.org",
        },
        "local": {
            "type": "postmap",
            "map": "hash:/etc/aliases",
            "style": "aliases",
            "domains": domains,
            "origin": "example.org",
        },
        "local2": {
            "type": "postmap",
            "map": "nis:mail.aliases",
            "style": "aliases",
            "domains": domains,
            "origin": "example.org",
        },
    }


def test_what_cannot_be_said_is_a_remark() -> None:
    parameters = {
        "virtual_alias_maps": "proxy:ldap:/etc/postfix/ldap.cf",
        "mydestination": "example.org hash:/etc/postfix/more",
    }
    [table] = from_postfix(parameters, "/etc/postfix", read)
    assert table.remarks == (
        "virtual_alias_maps = proxy:ldap:/etc/postfix/ldap.cf",
        "read without proxymap(8), so autocreate must be able to read its files",
        "autocreate must be able to read /etc/postfix/ldap.cf; a table of type sql or ldap is faster",
        "mydestination also has hash:/etc/postfix/more, which cannot be written here",
    )


def test_local_aliases_of_a_postfix_that_delivers_nothing_locally_are_left_out() -> None:
    parameters = {"alias_maps": "hash:/etc/aliases", "mydestination": ""}
    assert from_postfix(parameters, "/etc/postfix", read) == []


def test_local_aliases_are_left_out_where_another_transport_than_local_has_mydestination() -> None:
    parameters = {"alias_maps": "hash:/etc/aliases", "mydestination": "example.org"}
    assert from_postfix({**parameters, "local_transport": "lmtp:unix:/x"}, "/p", read) == []
    assert (
        len(from_postfix({**parameters, "local_transport": "local:$myhostname"}, "/p", read)) == 1
    )


@pytest.mark.parametrize(
    ("parameters", "virtual", "local"),
    [
        (
            {"myorigin": "other.test"},
            {"domains": ["localhost"], "origin": "other.test"},
            {"domains": ["localhost"], "origin": "other.test"},
        ),
        (
            {"myorigin": "other.test", "append_at_myorigin": "no", "myhostname": "mx.example.org"},
            {"domains": ["localhost", "other.test"]},
            {"domains": ["localhost"], "origin": "mx.example.org"},
        ),
        (
            {"myorigin": "localhost", "virtual_alias_domains": "b.test hash:/x"},
            {"domains": ["localhost"], "origin": "localhost", "alias_domains": ["b.test"]},
            {"domains": ["localhost"], "origin": "localhost"},
        ),
    ],
)
def test_what_bare_names_mean_is_said_wherever_myorigin_is(
    parameters: dict[str, str], virtual: dict[str, Any], local: dict[str, Any]
) -> None:
    maps = {"virtual_alias_maps": "hash:/v", "alias_maps": "hash:/a", "mydestination": "localhost"}
    found = toml(from_postfix({**maps, **parameters}, "/etc/postfix", read))
    assert found["virtual"] == {"type": "postmap", "map": "hash:/v", **virtual}
    assert found["local"] == {"type": "postmap", "map": "hash:/a", "style": "aliases", **local}


def test_what_an_administrator_should_know_of_bare_names_is_a_remark() -> None:
    parameters = {
        "virtual_alias_maps": "hash:/v",
        "mydestination": "localhost",
        "myorigin": "other.test",
        "append_dot_mydomain": "yes",
    }
    [table] = from_postfix(parameters, "/etc/postfix", read)
    assert table.remarks[1:] == (
        "a name without a domain in a value is in other.test (myorigin): if its mailbox is in "
        "Cyrus, add that to milter.domains",
        "Postfix reads joe@host in a value as joe@host.$mydomain: write it like that",
    )


def test_another_folder_of_postfix_and_maps_in_braces_are_kept() -> None:
    parameters = {"virtual_alias_maps": "inline:{ {a@example.org = joe, kim} }"}
    assert toml(from_postfix(parameters, "/etc/postfix-in", read)) == {
        "virtual": {
            "type": "postmap",
            "map": "inline:{ {a@example.org = joe, kim} }",
            "config_directory": "/etc/postfix-in",
        }
    }


def test_domains_in_a_file_are_read() -> None:
    parameters = {"virtual_alias_maps": "hash:/x", "mydestination": "/etc/postfix/ours"}
    [table] = from_postfix(parameters, "/etc/postfix", read)
    assert table.keys["domains"] == ["example.org", "other.test"]


def test_domains_of_aliases_alone_are_told_where_they_are_written_out() -> None:
    assert alias_domains({"virtual_alias_domains": "hash:/x Aliases.test, other.test"}) == [
        "aliases.test",
        "other.test",
    ]


def test_the_alias_files_and_the_virtusertable_of_sendmail_are_tables() -> None:
    found = toml(from_sendmail(SENDMAIL, read))
    assert found["virtusertable"] == {"type": "virtusertable", "path": "/etc/mail/virtusertable"}
    paths = {
        "local": "/etc/mail/aliases",
        "local2": "/etc/mail/lists",
        "local3": "mail.aliases@map",
    }
    assert {name: found[name]["path"] for name in found if name in paths} == paths
    for name in paths:
        assert found[name]["type"] == "aliases"
        assert found[name]["style"] == "sendmail"
        assert found[name]["domains"] == ["localhost", "mx.example.org", "example.org"]


def test_a_sendmail_without_local_domains_has_alias_files_for_all_of_ours() -> None:
    [table] = from_sendmail("O AliasFile=/etc/mail/aliases\n", read)
    assert table.keys["path"] == "/etc/mail/aliases"
    assert "domains" not in table.keys


def test_a_virtusertable_that_is_no_file_is_left_out() -> None:
    text = "Kvirtuser ldap -k (&(mail=%0))\nKvirtuser hash /etc/mail/virtusertable\n"
    assert [table.keys["path"] for table in from_sendmail(text, read)] == [
        "/etc/mail/virtusertable"
    ]


def test_a_word_of_mydestination_that_is_no_domain_is_a_remark() -> None:
    parameters = {"virtual_alias_maps": "hash:/x", "mydestination": "example.org, -ü-.test"}
    [table] = from_postfix(parameters, "/etc/postfix", read)
    assert table.keys["domains"] == ["example.org"]
    assert table.remarks[1:2] == ("mydestination also has -ü-.test, which cannot be written here",)


@pytest.mark.parametrize(
    ("mailer", "flags", "rule", "style"),
    [
        ("cyrusv2", "lsDFMnqXzA@/:|m", True, "sendmail"),
        ("cyrusv2", "lsDFMnqXzA@/:|m5", True, "sendmail-5"),
        ("local", "lsDFMAw5:/|@qPn9mE", True, "sendmail-5"),
        ("local", "lsDFMAw5:/|@qPn9mE", False, "sendmail"),  # preserve_local_plus_detail
        ("cyrusv2", "lsDFMnqXz", True, ""),
    ],
)
def test_the_mailer_for_local_names_says_what_sendmail_looks_up(
    mailer: str, flags: str, rule: bool, style: str
) -> None:
    text = f"{SENDMAIL}R$+\t\t\t$#{mailer} $: $1\t\t\tregular local names\n"
    text += f"M{mailer},\t\tP=/usr/bin/it, F={flags},\n\t\tS=EnvFromL,\nMother, P=x, F=A5,\n"
    text += f"R$+ + *\t\t\t$#{mailer} $@ $&h $: $1\n" if rule else ""
    assert sendmail_style(text) == style
    found = [it.keys.get("style") for it in from_sendmail(text, read) if it.name != "virtusertable"]
    assert found == ([style] * 3 if style else [])


def test_what_is_proposed_is_accepted_by_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "virtual").touch()
    parameters = {
        "virtual_alias_maps": f"texthash:{tmp_path}/virtual hash:{tmp_path}/other",
        "recipient_canonical_maps": f"regexp:{tmp_path}/canonical",
        "alias_maps": "hash:/etc/aliases",
        "mydestination": "example.org",
        "myorigin": "example.org",
    }
    adapter: TypeAdapter[Any] = TypeAdapter(Aliases)
    proposed = toml(from_postfix(parameters, str(tmp_path), read))
    assert [adapter.validate_python(table).type for table in proposed.values()] == [
        "postmap",
        "file",
        "postmap",
        "postmap",
    ]


def test_a_virtusertable_without_a_name_is_left_out() -> None:
    assert from_sendmail("Kvirtuser \nKvirtuser\n\nOx\n", read) == []
