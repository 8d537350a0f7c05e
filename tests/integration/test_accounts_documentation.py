"""The examples of sources in the README and in docs/accounts.md are run: only addresses and paths are replaced.

They run under the limits of the milter's unit, so that each library and NSS are tried under them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.servers.common import aged, run, secret_file
from tests.servers.cyrus import Cyrus
from tests.servers.limits import limited
from tests.servers.mariadb import MariaDb
from tests.servers.postgres import Postgres
from tests.servers.product import Product
from tests.servers.slapd import Slapd

from autocreate.accounts import SOURCES as SOURCE_TYPES

ROOT = Path(__file__).parents[2]
DOCUMENTS = {
    name: re.findall(r"```toml\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
    for name in ("README.md", "docs/accounts.md")
}
BLOCKS = [block for blocks in DOCUMENTS.values() for block in blocks]
SOURCES = [block for block in BLOCKS if block.startswith("[accounts.")]

CA_FILE = "/etc/ssl/certs/ca-certificates.crt"


@pytest.fixture(scope="module")
def product(cyrus: Cyrus) -> Iterator[Product]:
    with Product(cyrus, accounts=["joe"]) as made:
        yield made


@pytest.fixture(scope="module")
def slapd() -> Iterator[Slapd]:
    with Slapd() as server:
        server.put({"joe": ["staff"]})
        yield server


@pytest.mark.parametrize("document", DOCUMENTS)
def test_there_are_examples_of_all_types(document: str) -> None:
    examples = [block for block in DOCUMENTS[document] if block.startswith("[accounts.")]
    found = "\n".join(examples)
    assert set(re.findall(r'^type = "(\w+)"', found, re.MULTILINE)) == set(SOURCE_TYPES)
    assert set(re.findall(r'^url = "(\w+):', found, re.MULTILINE)) == {
        "mysql",
        "postgresql",
        "sqlite",
    }


@pytest.mark.parametrize("block", [it for it in SOURCES if '"ldap"' in it])
def test_ldap(product: Product, slapd: Slapd, block: str) -> None:
    check(
        product,
        block,
        {
            "ldaps://ldap1.example.org": slapd.ldaps_url,
            "ldap://ldap1.example.org": slapd.url,
            "ldap://ldap2.example.org": slapd.url,
            "ldapi://%2Frun%2Fslapd%2Fldapi": slapd.ldapi_url,
            CA_FILE: str(slapd.certificate.ca_file),
            "/etc/autocreate/ldap.secret": secret_file(product.folder, slapd.reader_password),
        },
    )


@pytest.mark.parametrize("block", [it for it in SOURCES if "postgresql:" in it])
def test_postgresql(product: Product, postgres: Postgres, block: str) -> None:
    check_sql(product, postgres, block)


@pytest.mark.parametrize("block", [it for it in SOURCES if "mysql:" in it])
def test_mariadb(product: Product, mariadb: MariaDb, block: str) -> None:
    check_sql(product, mariadb, block)


@pytest.mark.parametrize("block", [it for it in SOURCES if "sqlite:" in it])
def test_sqlite(product: Product, block: str) -> None:
    check(product, block, {"/var/lib/autocreate/accounts.db": str(product.database)})


@pytest.mark.parametrize("block", [it for it in SOURCES if '"nss"' in it or '"shadow"' in it])
def test_the_users_of_the_machine(product: Product, block: str) -> None:
    check(product, block, {}, user="")


@pytest.mark.parametrize("block", [it for it in SOURCES if '"sasldb"' in it])
def test_sasldb(product: Product, block: str) -> None:
    database = product.folder / "sasldb2"
    realm = ["-u", "mail.example.org"]
    run(["saslpasswd2", "-p", "-c", "-f", database, *realm, "joe"], stdin=b"geheim\n")
    check(product, block, {"/etc/sasldb2": str(aged(database))})


@pytest.mark.parametrize("block", [it for it in SOURCES if '"file"' in it])
def test_files(product: Product, block: str) -> None:
    users, groups = product.folder / "users", product.folder / "groups"
    users.write_text("joe\n")
    groups.write_text("staff:x:100:joe\n")
    table = product.folder / "vmailbox"
    table.write_text("joe@example.org  joe/\n@example.org all/\n")
    names = {
        "/etc/autocreate/users": str(aged(users)),
        "/etc/autocreate/groups": str(aged(groups)),
        "/etc/postfix/vmailbox": str(aged(table)),
    }
    check(product, block, names)


@pytest.mark.parametrize("block", [it for it in BLOCKS if it.startswith("[[policy]]")])
def test_policies(product: Product, block: str) -> None:
    product.configure({"policy": []})
    # What an attribute is of, only an LDAP source must say; the one that is here is an SQL one.
    with product.config_file.open("a") as file:
        file.write(block)
    assert product.run("config", "check").returncode == 0


def check_sql(product: Product, server: Postgres | MariaDb, block: str) -> None:
    names = {
        "@db.example.org/": f"@{server.host}:{server.port}/",
        CA_FILE: str(server.certificate.ca_file),
        "/etc/autocreate/accounts.secret": secret_file(product.folder, server.password),
    }
    check(product, block, names)


def check(product: Product, block: str, names: Mapping[str, str], user: str = "joe") -> None:
    """Is the source of an example well, and does it know the user, once these names are replaced?"""
    for name, ours in names.items():
        block = block.replace(name, ours)
    product.replace_accounts(block)
    result = product.run(
        *("accounts", "check", *(["--user", user] if user else [])),
        contained=limited("autocreate-milter.service")(),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert not user or f"knows {user!r}" in result.stdout
