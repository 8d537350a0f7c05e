"""Domains in tables, behind a real MTA: whose mail is verified, what a table that is away means, what commands tell."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.conftest import TEMPORARY, Mta
from tests.servers.common import wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import Product
from tests.servers.smtp import Dialogue

DOCUMENT = (Path(__file__).parents[2] / "docs" / "domains.md").read_text()


@pytest.fixture
def product(cyrus: Cyrus) -> Iterator[Product]:
    """Its domains are in a database, and in no list."""
    with Product(cyrus, accounts=["joe"]) as made:
        change(made, "CREATE TABLE domain (domain TEXT, active INTEGER)")
        change(made, "INSERT INTO domain VALUES ('example.org', 1), ('closed.test', 0)")
        made.configure(settings(made))
        yield made


def settings(product: Product, **milter: object) -> dict[str, dict[str, object]]:
    query = "SELECT domain FROM domain WHERE domain = :domain AND active"
    table = {"type": "sql", "url": f"sqlite:///{database(product)}", "query": query}
    return {"milter": {"domains": [], **milter}, "domains": {"hosted": table}}


def database(product: Product) -> Path:
    return product.folder / "domains.db"


def change(product: Product, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(database(product))) as connection, connection:
        connection.execute(statement)


@contextlib.contextmanager
def before(product: Product, make: Callable[..., Mta]) -> Iterator[Mta]:
    with make(
        milter=product.socket,
        lmtp=(product.cyrus.host, product.cyrus.lmtp_port),
        domains=("example.org", "closed.test", "new.test"),
    ) as mta:
        product.start()
        yield mta


def rcpt(mta: Mta, *recipients: str) -> list[int]:
    with Dialogue(mta.host, mta.port) as smtp:
        smtp.ehlo()
        smtp.mail("ann@client.test")
        return [smtp.rcpt(it).code for it in recipients]


def test_recipients_are_verified_whose_domain_the_table_has(
    product: Product, start_mta: Callable[..., Mta]
) -> None:
    with before(product, start_mta) as mta:
        assert rcpt(mta, "joe@example.org", "gone@example.org", "gone@closed.test") == [
            250,
            550,
            250,
        ]
        line = product.wait_for_log("recipient .*<joe@example.org>.*")[0]
    assert re.search(r"asked='domains\.hosted:\d+\.\d", line)


def test_a_table_that_is_away_defers_recipients_until_it_is_back(
    product: Product, start_mta: Callable[..., Mta]
) -> None:
    away = database(product).with_suffix(".away")
    with before(product, start_mta) as mta:
        database(product).rename(away)
        with Dialogue(mta.host, mta.port) as smtp:
            smtp.ehlo()
            smtp.mail("ann@client.test")
            reply = smtp.rcpt("joe@example.org")
            assert (reply.code, reply.enhanced) == (TEMPORARY.code, TEMPORARY.enhanced)
        product.wait_for_log("recipient .*<joe@example.org>.*domains.hosted: .*unable to open")
        away.rename(database(product))
        # What is away is asked again at the next trial.
        wait_until(lambda: rcpt(mta, "joe@example.org") == [250], 20.0, "the next trial")
        assert rcpt(mta, "gone@example.org") == [550]


def test_a_new_domain_is_seen_after_a_cleared_cache_and_a_new_table_after_a_reload(
    product: Product,
) -> None:
    product.configure(settings(product, alias_seconds=600.0))
    with before(product, Postfix) as mta:
        assert rcpt(mta, "gone@new.test") == [250]
        change(product, "INSERT INTO domain VALUES ('new.test', 1)")
        assert rcpt(mta, "gone@new.test") == [250]
        product.run("cache", "clear")
        assert rcpt(mta, "gone@new.test", "gone@closed.test") == [550, 250]
        listed = product.folder / "domains"
        listed.write_text("closed.test\n# all of them\n")
        changed = settings(product)
        changed["domains"]["list"] = {"type": "file", "path": str(listed)}
        product.configure(changed)
        assert product.reload().endswith(" reloaded")
        assert rcpt(mta, "gone@closed.test", "gone@new.test") == [550, 550]


def test_commands_tell_of_the_tables(product: Product) -> None:
    assert product.run("config", "check").returncode == 0
    told = {address: product.json("check", address)[0]["answer"] for address in ADDRESSES}
    assert told == ADDRESSES
    reports = product.json("accounts", "check")
    assert [(it["source"], it["status"]) for it in reports] == [
        ("accounts.staff", 0),
        ("domains.hosted", 0),
    ]
    assert [it["source"] for it in product.json("aliases", "check")] == ["domains.hosted"]
    assert "domains.hosted: has 'example.org'" in product.run("explain", "joe@example.org").stdout
    product.start()
    (stats,) = product.json("cache", "show")
    assert stats["domains"]["remembered"]["hosted"]["domains"] == 0
    assert "domains: 0 ours cached (maximum 100000)" in product.run("cache", "show").stdout
    refused = product.run("provision", "--domain", "closed.test")
    assert "closed.test is not in milter.domains, nor in any table" in refused.stderr
    change(product, "ALTER TABLE domain RENAME TO gone")
    assert product.run("aliases", "check").returncode == 75
    assert "domains.hosted" in product.run("doctor").stdout


ADDRESSES = {"joe@example.org": "accept", "gone@example.org": "unknown", "joe@closed.test": "pass"}


def test_a_table_that_has_every_domain_is_a_mistake(product: Product) -> None:
    every = settings(product)
    every["domains"]["hosted"] = {
        "type": "sql",
        "url": f"sqlite:///{database(product)}",
        "query": "SELECT :domain",
    }
    product.configure(every)
    (report,) = product.json("aliases", "check")
    assert report["status"] == 78
    assert "has every domain" in report["lines"][-1]


def test_the_example_is_a_good_configuration(product: Product) -> None:
    secret = product.folder / "database.secret"
    secret.touch(0o600)
    secret.write_text("hidden\n")
    (product.folder / "hosted").write_text("example.net\n")
    (example,) = re.findall(r"^```toml\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
    example = example.partition("\n\n")[2]
    for theirs, ours in (
        ("/etc/autocreate/database.secret", str(secret)),
        ('path = "/etc/postfix/domains"', f'path = "{product.folder}/hosted"'),
    ):
        assert theirs in example
        example = example.replace(theirs, ours)
    product.configure({})
    with product.config_file.open("a") as file:
        file.write(f"\n{example}")
    checked = product.run("config", "check")
    assert (checked.returncode, checked.stderr) == (0, "")
