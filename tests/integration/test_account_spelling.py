"""Names with capitals, of accounts and groups: from mail at Postfix to the message in the mailbox."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.servers import smtp
from tests.servers.common import secret_file
from tests.servers.cyrus import Cyrus
from tests.servers.mariadb import MariaDb
from tests.servers.postfix import Postfix
from tests.servers.postgres import Postgres
from tests.servers.product import Product, to_toml
from tests.servers.ranges import RangedDirectory
from tests.servers.slapd import GROUPS, PEOPLE, Slapd, ldap_source

Table = dict[str, Any]

# Who is in no group that these name gets no mailbox, and 550.
POLICIES: list[Table] = [
    {"name": "students", "groups": ["students"], "quota": "1G"},
    {"name": "the dean", "users": ["TheDean"], "quota": "2G"},
]
SUBJECT = "Subject: here\r\n\r\nhello\r\n"


@pytest.fixture
def product(cyrus: Cyrus) -> Iterator[Product]:
    with Product(cyrus, policies=POLICIES) as made:
        yield made


@pytest.fixture(scope="module")
def slapd() -> Iterator[Slapd]:
    with Slapd() as server:
        yield server


def from_ldap(product: Product, slapd: Slapd) -> Table:
    return ldap_source(slapd, product.folder, member_of="memberOf")


def from_sql(product: Product, server: Postgres | MariaDb) -> Table:
    return {
        "type": "sql",
        "url": server.url,
        "password_file": secret_file(product.folder, server.password),
        "query": "SELECT userid FROM accounts WHERE lower(userid) = :user",
        "groups_query": "SELECT name FROM memberships WHERE lower(userid) = :user",
        "list_query": "SELECT userid FROM accounts",
    }


def from_file(product: Product, accounts: Mapping[str, list[str]]) -> Table:
    users, groups = product.folder / "users", product.folder / "groups"
    users.write_text("".join(f"{user}\n" for user in accounts))
    names = sorted({group for it in accounts.values() for group in it})
    groups.write_text(
        "".join(
            f"{name}:x:{100 + number}:{','.join(user for user in accounts if name in accounts[user])}\n"
            for number, name in enumerate(names)
        )
    )
    for path in (users, groups):
        # What was changed less than 2 seconds ago says no to nobody.
        os.utime(path, (0, 0))
    return {"type": "file", "path": str(users), "groups": str(groups)}


@contextlib.contextmanager
def source_of(kind: str, product: Product, accounts: Mapping[str, list[str]]) -> Iterator[Table]:
    """A source of this kind that has these accounts, each with its groups."""
    if kind == "file":
        yield from_file(product, accounts)
    elif kind == "ldap":
        with Slapd() as slapd:
            slapd.put(accounts)
            yield from_ldap(product, slapd)
    else:
        with Postgres() if kind == "postgresql" else MariaDb() as server:
            server.put(accounts)
            yield from_sql(product, server)


@pytest.mark.parametrize("kind", ["ldap", "postgresql", "mariadb", "file"])
def test_mail_reaches_an_account_with_capitals_and_its_group_chooses_the_policy(
    product: Product, cyrus: Cyrus, kind: str
) -> None:
    accounts = {f"KLee.{kind}": ["Students"], "TheDean": [], f"Nobody.{kind}": ["Others"]}
    with source_of(kind, product, accounts) as source:
        product.replace_accounts(to_toml({"accounts": {"it": source}}))
        _mail_reaches(product, cyrus, kind)


def _mail_reaches(product: Product, cyrus: Cyrus, kind: str) -> None:
    product.start()
    user = f"klee.{kind}"
    with Postfix(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port)) as mta:
        with smtp.Dialogue(mta.host, mta.port) as client:
            client.ehlo()
            client.mail("ann@client.test")
            replies = {
                it: client.rcpt(f"{it}@example.org").code
                for it in (user, f"KLEE.{kind}", "thedean", f"nobody.{kind}", f"zoe.{kind}")
            }
            client.quit()
        assert [*replies.values()] == [250, 250, 250, 550, 550], product.log()
        smtp.send(mta.host, mta.port, "ann@client.test", [f"KLee.{kind}@example.org"], SUBJECT)
        cyrus.wait_for_messages(user)
    assert cyrus.quota(f"user/{user}") == {"STORAGE": 1 << 20}
    assert cyrus.quota("user/thedean") == {"STORAGE": 2 << 20}
    assert cyrus.mailboxes(f"user/KLee.{kind}") == set()
    # As mail looks it up: under any spelling, and by its address.
    for name in (f"KLee.{kind}", f"klee.{kind}@example.org"):
        checked = product.run("accounts", "check", "--user", name)
        assert checked.returncode == 0, checked.stdout
        assert f"knows '{user}', as 'KLee.{kind}'" in checked.stdout
    assert f"also finds users whose names Cyrus spells differently, such as 'KLee.{kind}'" in (
        checked.stdout
    )


def test_a_look_alike_of_a_name_is_refused_at_once(
    product: Product, cyrus: Cyrus, slapd: Slapd
) -> None:
    slapd.put({"joe": ["students"]})
    product.replace_accounts(to_toml({"accounts": {"it": from_ldap(product, slapd)}}))
    product.start()
    with (
        Postfix(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port)) as mta,
        smtp.Dialogue(mta.host, mta.port) as client,
    ):
        client.ehlo()
        assert client.mail("ann@client.test", "SMTPUTF8").code == 250
        assert client.rcpt("\uff4a\uff4f\uff45@example.org").code == 550
        assert client.rcpt("jo\u200be@example.org").code == 550
        assert client.rcpt("joe@example.org").code == 250
        client.quit()


def test_the_group_behind_a_range_of_values_chooses_the_policy(
    product: Product, cyrus: Cyrus
) -> None:
    groups = [f"CN=Group {number},{GROUPS}" for number in range(2000)]
    entry = {"uid": ("RLee",), "memberOf": (*groups, f"CN=Students,{GROUPS}")}
    with RangedDirectory({f"cn=Robin,{PEOPLE}": entry}, most=1500) as directory:
        source = {"type": "ldap", "urls": [directory.url], "tls": "none", "base": PEOPLE}
        product.replace_accounts(to_toml({"accounts": {"it": {**source, "member_of": "memberOf"}}}))
        product.start()
        with Postfix(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port)) as mta:
            smtp.send(mta.host, mta.port, "ann@client.test", ["RLee@example.org"], SUBJECT)
            cyrus.wait_for_messages("rlee")
    assert cyrus.quota("user/rlee") == {"STORAGE": 1 << 20}


EXACT = {
    "query": "SELECT userid FROM accounts WHERE userid = :user",
    "list_query": "SELECT userid FROM accounts ORDER BY length(userid), userid DESC",
}


def test_accounts_that_mail_does_not_find_are_a_finding(product: Product, cyrus: Cyrus) -> None:
    with sqlite3.connect(product.database) as database:
        names = [("ann",), ("KLee",), ("Ann",), ("BLee",), ("CLee",)]
        database.executemany("INSERT INTO accounts (userid) VALUES (?)", names)
    url = f"sqlite:///{product.database}"
    product.replace_accounts(to_toml({"accounts": {"it": {"type": "sql", "url": url, **EXACT}}}))
    checked = product.run("accounts", "check")
    assert checked.returncode == 78
    assert checked.stdout.splitlines()[2:] == [
        "  lists 'Ann' and 'ann', which are one user to Cyrus, 'ann': rename one",
        "  lists 'KLee', but does not find it when mail for it asks for 'klee'",
        "  lists 'CLee', but does not find it when mail for it asks for 'clee'",
        "  ... and 1 more like these",
    ]
    doctor = product.run("doctor")
    assert "accounts.it: lists 'KLee', but does not find it when mail for it asks" in doctor.stdout
    cyrus.create("user/klee")
    audit = product.run("audit", "--trees")
    assert (
        "unclear     klee: a source lists the user, but no source finds it: mail for it is refused (550)"
        in audit.stdout.splitlines()
    )


def test_everybody_who_is_listed_with_capitals_gets_the_mailbox_that_mail_goes_to(
    product: Product, cyrus: Cyrus, slapd: Slapd
) -> None:
    slapd.put({"PLee": ["Students"], "OLee": ["Others"]})
    product.replace_accounts(to_toml({"accounts": {"it": from_ldap(product, slapd)}}))
    done = product.run("provision", "--group", "STUDENTS", "--yes")
    assert (done.returncode, done.stderr) == (0, "1 account: 1 created\n"), done.stdout
    assert cyrus.mailboxes("user/plee") == {"user/plee"}
    audited = product.run("audit", "--trees", "--source", "it")
    assert (audited.returncode, audited.stdout.splitlines()[-1].rpartition(": ")[2]) == (
        0,
        "0 findings",
    ), audited.stdout
