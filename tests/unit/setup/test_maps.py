"""Account sources and tables of domains from Postfix's maps."""

from __future__ import annotations

import pytest

from autocreate.doctor.postconf import Postfix
from autocreate.setup import maps
from autocreate.setup.maps import Naming, Untranslatable
from autocreate.setup.values import File, SeenPostfix

ONE_DOMAIN = Naming(False, "example.org")
SEVERAL_DOMAINS = Naming(False, "")
VIRTUAL = Naming(True, "example.org")
VIRTUAL_WITHOUT_DEFAULT = Naming(True, "")

PGSQL = {
    "hosts": "db.example.org",
    "user": "mail reader",
    "password": "a secret",
    "dbname": "mail",
    "query": "SELECT maildir FROM mailbox WHERE username = '%s' AND active",
}
LDAP = {
    "server_host": "ldap1.test ldap2.test",
    "bind_dn": "cn=reader",
    "bind_pw": "a secret",
    "search_base": "ou=people",
    "query_filter": "(mail=%s)",
}


@pytest.mark.parametrize(
    ("naming", "condition"),
    [
        (ONE_DOMAIN, ":user || '@example.org'"),
        (VIRTUAL, "CASE WHEN :domain = '' THEN :user || '@example.org' ELSE :user END"),
        (VIRTUAL_WITHOUT_DEFAULT, ":user"),
    ],
)
def test_a_query_for_an_address_becomes_one_for_a_user_id(naming: Naming, condition: str) -> None:
    source = maps.accounts("pgsql:/etc/postfix/users.cf", PGSQL, naming, "/s")
    assert source.keys["query"] == (
        f"SELECT :user FROM mailbox WHERE username = {condition} AND active"
    )
    assert source.keys["url"] == "postgresql://mail%20reader@db.example.org/mail"
    assert source.keys["password_file"] == "/s"
    assert source.secret == "a secret"
    assert "a secret" not in repr(source)


def test_users_can_be_listed_where_the_column_has_user_ids() -> None:
    virtual = maps.accounts("pgsql:/x", PGSQL, VIRTUAL, "/s")
    assert virtual.keys["list_query"] == "SELECT username FROM mailbox WHERE active"
    assert "list_query" not in maps.accounts("pgsql:/x", PGSQL, ONE_DOMAIN, "/s").keys
    local = {**PGSQL, "query": "SELECT 1 FROM users WHERE uid='%u'"}
    assert maps.accounts("pgsql:/x", local, ONE_DOMAIN, "/s").keys["list_query"] == (
        "SELECT uid FROM users"
    )


def test_a_query_of_another_form_is_asked_as_it_is() -> None:
    query = "SELECT a FROM b WHERE u = '%u' AND d = '%d' UNION SELECT c FROM e WHERE f = '%s';"
    source = maps.accounts("mysql:/x", {**PGSQL, "query": query}, ONE_DOMAIN, "/s")
    assert source.keys["query"] == (
        "SELECT :user FROM (SELECT a FROM b WHERE u = :local AND d = 'example.org' UNION "
        "SELECT c FROM e WHERE f = concat(:user, '@example.org')) AS found LIMIT 1"
    )


def test_a_map_in_the_old_form_has_a_query_too() -> None:
    old = {
        "dbpath": "/var/lib/mail.db",
        "table": "users",
        "select_field": "home",
        "where_field": "name",
        "additional_conditions": "AND on = 1",
    }
    source = maps.accounts("sqlite:/x", old, VIRTUAL_WITHOUT_DEFAULT, "/s")
    assert source.keys["url"] == "sqlite:////var/lib/mail.db"
    assert source.keys["query"] == "SELECT :user FROM users WHERE name = :user AND on = 1"


@pytest.mark.parametrize(
    ("hosts", "place"),
    [
        ("unix:/run/postgresql", "/mail?host=/run/postgresql"),
        ("inet:db.test:5433 other.test", "db.test:5433/mail"),
        ("localhost", "127.0.0.1/mail"),
        ("", "127.0.0.1/mail"),
    ],
)
def test_the_first_server_of_a_map_is_asked(hosts: str, place: str) -> None:
    source = maps.accounts("pgsql:/x", {**PGSQL, "hosts": hosts, "user": "u"}, VIRTUAL, "/s")
    assert source.keys["url"] == f"postgresql://u@{place}"


@pytest.mark.parametrize(
    ("naming", "wanted"),
    [
        (ONE_DOMAIN, "(mail={user}@example.org)"),
        (VIRTUAL, "(|(mail={user})(mail={user}@example.org))"),
        (VIRTUAL_WITHOUT_DEFAULT, "(mail={user})"),
    ],
)
def test_a_filter_for_an_address_becomes_one_for_a_user_id(naming: Naming, wanted: str) -> None:
    source = maps.accounts("ldap:/x", LDAP, naming, "/s")
    assert source.keys["filter"] == wanted
    assert source.keys["urls"] == ["ldap://ldap1.test", "ldap://ldap2.test"]
    assert source.keys["user_attribute"] == ("mail" if naming.has_domains else "uid")
    assert source.keys["bind_dn"] == "cn=reader"
    assert source.secret == "a secret"


def test_only_a_directory_of_this_machine_is_asked_without_tls() -> None:
    local = {**LDAP, "server_host": "localhost"}
    assert maps.accounts("ldap:/x", local, VIRTUAL, "/s").keys["tls"] == "none"
    assert "tls" not in maps.accounts("ldap:/x", LDAP, VIRTUAL, "/s").keys


@pytest.mark.parametrize(
    "query", ["SELECT 1 FROM a WHERE b = 'x%s'", "SELECT 1 FROM a WHERE b = '%1'", ""]
)
def test_what_has_no_equivalent_is_said(query: str) -> None:
    with pytest.raises(Untranslatable):
        maps.accounts("pgsql:/x", {**PGSQL, "query": query}, VIRTUAL, "/s")


def test_a_password_in_an_address_of_a_server_is_not_told() -> None:
    hosts = "postgresql://u:secret@db/mail"
    with pytest.raises(Untranslatable) as error:
        maps.accounts("pgsql:/x", {**PGSQL, "hosts": hosts}, VIRTUAL, "/s")
    assert "secret" not in str(error.value)


def test_addresses_of_several_domains_have_no_user_ids_without_domains() -> None:
    with pytest.raises(Untranslatable, match="virtdomains is off"):
        maps.accounts("pgsql:/x", PGSQL, SEVERAL_DOMAINS, "/s")
    with pytest.raises(Untranslatable, match="virtdomains is off"):
        maps.accounts("ldap:/x", LDAP, SEVERAL_DOMAINS, "/s")


def test_a_table_of_domains_is_asked_in_its_own_way() -> None:
    query = {**PGSQL, "query": "SELECT domain FROM domains WHERE domain = '%s'"}
    odd = {**PGSQL, "query": "SELECT 1 FROM domains WHERE domain = lower('%1')"}
    postfix = SeenPostfix(
        "/etc/postfix",
        Postfix({}),
        *(File("", ""), File("", "")),
        described={"pgsql:/x": query, "ldap:/x": LDAP, "pgsql:/odd": odd},
        sources=frozenset({"hash:/x", "texthash:/x"}),
    )
    found = maps.domains("domains.postfix", "pgsql:/x", postfix, "/s")
    assert (found.keys["type"], found.secret) == ("sql", "a secret")
    assert found.keys["query"] == "SELECT domain FROM domains WHERE domain = :domain"
    found = maps.domains("domains.postfix", "ldap:/x", postfix, "/s")
    assert found.keys["filter"] == "(mail={domain})"
    for table in ("hash:/x", "pgsql:/odd", "regexp:/x"):
        found = maps.domains("domains.postfix", table, postfix, "/s")
        assert found.keys == {"type": "postmap", "map": table}
    found = maps.domains("domains.postfix", "texthash:/x", postfix, "/s")
    assert found.keys == {"type": "file", "path": "/x"}
