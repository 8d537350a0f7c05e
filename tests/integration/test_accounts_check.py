"""`autocreate accounts check` says in words what is wrong with a source, and by its exit status how grave it is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers.common import secret_file
from tests.servers.cyrus import Cyrus
from tests.servers.mariadb import MariaDb
from tests.servers.postgres import Postgres
from tests.servers.product import Product, to_toml
from tests.servers.slapd import Slapd, ldap_source
from tests.servers.tls import make_certificate

QUERY = "SELECT userid, quota FROM accounts WHERE userid = :user"


@pytest.fixture(scope="module")
def slapd() -> Iterator[Slapd]:
    with Slapd() as server:
        server.put({"joe": ["staff"], "kim": []})
        server.set("joe", mailQuota="3G")
        yield server


@pytest.fixture
def product(cyrus: Cyrus) -> Iterator[Product]:
    with Product(cyrus) as made:
        yield made


def check(product: Product, *arguments: str, **source: Any) -> tuple[int, str]:
    product.replace_accounts(to_toml({"accounts": {"it": source}}))
    result = product.run("accounts", "check", *arguments)
    return result.returncode, result.stdout + result.stderr


def ldap(product: Product, server: Slapd, **settings: Any) -> dict[str, Any]:
    usual = {"attributes": ["mailQuota"], "member_of": "memberOf"}
    return ldap_source(server, product.folder, **{**usual, **settings})


def sql(product: Product, server: Postgres | MariaDb, **settings: Any) -> dict[str, Any]:
    return {
        "type": "sql",
        "url": server.url,
        "password_file": secret_file(product.folder, server.password),
        "query": QUERY,
        **settings,
    }


def test_a_directory_in_order(product: Product, slapd: Slapd) -> None:
    status, said = check(product, "--user", "joe", **ldap(product, slapd))
    assert status == 0, said
    assert "accounts.it: ok" in said
    assert "lists users, such as 'joe'" in said
    assert "knows 'joe'" in said
    assert "mailquota = 3G" in said
    assert "groups: staff" in said


def test_a_user_whom_no_source_knows(product: Product, slapd: Slapd) -> None:
    status, said = check(product, "--user", "zoe", **ldap(product, slapd))
    assert (status, "does not know 'zoe'" in said) == (65, True)


def test_a_directory_that_is_away(product: Product, slapd: Slapd) -> None:
    status, said = check(product, **ldap(product, slapd, urls=["ldap://127.0.0.1:1"]))
    assert status == 75
    assert "ldap://127.0.0.1:1: cannot connect: Connection refused" in said


def test_a_wrong_password(product: Product, slapd: Slapd) -> None:
    source = ldap(product, slapd)
    secret_file(product.folder, "wrong")
    status, said = check(product, **source)
    assert status == 75
    assert "bind_dn or the password in password_file is wrong" in said
    assert "wrong\n" not in said.replace("is wrong)", "")


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_a_certificate_by_somebody_else(
    product: Product, slapd: Slapd, scheme: str, tmp_path: Path
) -> None:
    other = make_certificate(tmp_path).ca_file
    url = slapd.url if scheme == "ldap" else slapd.ldaps_url
    status, said = check(product, **ldap(product, slapd, urls=[url], ca_file=str(other)))
    assert status == 75
    assert "its certificate is not trusted" in said


def test_a_certificate_for_another_name(product: Product, slapd: Slapd) -> None:
    # 127.0.0.1 and localhost are in it; the same loopback by another spelling is not.
    url = slapd.url.replace("127.0.0.1", "127.1")
    status, said = check(product, **ldap(product, slapd, urls=[url]))
    assert status == 75
    assert "certificate is not valid for '127.1'" in said


def test_a_base_that_is_not_there(product: Product, slapd: Slapd) -> None:
    status, said = check(product, **ldap(product, slapd, base="ou=nowhere,dc=example,dc=org"))
    assert status == 75
    assert "the base does not exist" in said


def test_a_filter_that_matches_nothing(product: Product, slapd: Slapd) -> None:
    source = ldap(product, slapd, filter="(&(objectClass=device)(uid={user}))")
    status, said = check(product, **source)
    assert status == 78
    assert "lists nobody: its query or filter matches nothing" in said


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
class TestSqlServers:
    @pytest.fixture
    def server(self, kind: str, request: pytest.FixtureRequest) -> Postgres | MariaDb:
        server: Postgres | MariaDb = request.getfixturevalue(kind)
        return server

    def test_in_order(self, product: Product, server: Postgres | MariaDb) -> None:
        lists = "SELECT userid FROM accounts"
        status, said = check(product, "--user", "joe", **sql(product, server, list_query=lists))
        assert status == 0, said
        assert "lists users, such as 'joe'" in said

    def test_a_missing_table(self, product: Product, server: Postgres | MariaDb) -> None:
        query = "SELECT userid FROM people WHERE userid = :user"
        status, said = check(product, **sql(product, server, query=query))
        assert status == 75
        assert "people" in said.split("/mail: ")[1]
        assert server.password not in said

    def test_a_wrong_password(self, product: Product, server: Postgres | MariaDb) -> None:
        source = sql(product, server)
        secret_file(product.folder, "not-this-one")
        status, said = check(product, **source)
        assert status == 75
        assert "authentication failed" in said or "Access denied" in said
        assert "not-this-one" not in said

    def test_a_query_that_finds_anyone(self, product: Product, server: Postgres | MariaDb) -> None:
        status, said = check(product, **sql(product, server, query="SELECT :user"))
        assert status == 78
        assert "would accept mail for anyone" in said

    def test_a_server_that_is_away(self, product: Product, server: Postgres | MariaDb) -> None:
        url = server.url.replace(str(server.port), "1")
        status, said = check(product, **sql(product, server, url=url))
        assert (status, "refused" in said) == (75, True)


def test_a_file_of_users_that_ceased_to_be_readable(product: Product) -> None:
    users = product.folder / "users"
    users.write_text("joe\n")
    status, said = check(product, type="file", path=str(users))
    assert "was changed less than 2 seconds ago" in said or status == 0
    with contextlib.suppress(FileNotFoundError):
        users.unlink()
    result = product.run("accounts", "check")
    assert result.returncode == 78
    assert f"cannot read {users}" in result.stderr


def test_a_sasldb_that_is_none(product: Product) -> None:
    database = product.folder / "sasldb2"
    database.write_text("this is no Berkeley DB")
    status, said = check(product, type="sasldb", path=str(database))
    assert status == 75
    assert "it must be a Berkeley DB" in said


def test_tables_of_aliases_are_asked_too(product: Product) -> None:
    users, virtual = product.folder / "users", product.folder / "virtual"
    for path, text in ((users, "joe\n"), (virtual, "sales@example.org joe\nalone\n")):
        path.write_text(text)
        os.utime(path, (1, 1))
    sections = {
        "accounts": {"it": {"type": "file", "path": str(users)}},
        "aliases": {"virtual": {"type": "file", "path": str(virtual)}},
    }
    product.replace_accounts(to_toml(sections))
    result = product.run("accounts", "check")
    assert result.returncode == 75
    assert "accounts.it: ok" in result.stdout
    assert "aliases.virtual: FAILED" in result.stdout
    assert "line 2 has no value after its key" in result.stdout
    told = product.json("accounts", "check")
    assert [(it["source"], it["status"]) for it in told] == [
        ("accounts.it", 0),
        ("aliases.virtual", 75),
    ]
