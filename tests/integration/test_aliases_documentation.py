"""The examples in docs/aliases.md are run: only paths are replaced, and the answers are those of its table."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.common import run
from tests.servers.cyrus import Cyrus
from tests.servers.product import Product

DOCUMENT = (Path(__file__).parents[2] / "docs" / "aliases.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
POSTFIX, SENDMAIL, DATABASES, GROUPS = (text for kind, text in BLOCKS if kind == "toml")
VIRTUAL, ALIASES, VIRTUSERTABLE = (text for kind, text in BLOCKS if kind == "")
ANSWERS = dict(re.findall(r"^\| `(\S+@\S+)` \| (\d{3})", DOCUMENT, re.MULTILINE))

CODES = {"accept": "250", "pass": "250", "unknown": "550", "temporary": "451"}


@pytest.fixture(scope="module")
def product(cyrus: Cyrus) -> Iterator[Product]:
    with Product(cyrus, accounts=["ann", "bob", "joe"]) as made:
        yield made


def test_beside_postfix(product: Product) -> None:
    write(product, "members", "ann, <bob>, kim@elsewhere.test\n")
    virtual = write(product, "virtual", VIRTUAL)
    aliases = write(product, "aliases", ALIASES.replace("/etc/mail", str(product.folder)))
    (product.folder / "main.cf").touch()  # this machine need not have one
    run(["postmap", "-c", product.folder, f"hash:{virtual}"])
    run(["postalias", "-c", product.folder, f"hash:{aliases}"])
    example = re.sub(
        r'^(map .*)"hash:/etc/(?:postfix/)?(\w+)"$',
        rf'\1"hash:{product.folder}/\2"\nconfig_directory = "{product.folder}"',
        POSTFIX.partition("\n\n")[2],
        flags=re.MULTILINE,
    )
    assert example.count("config_directory") == 2
    configure(product, example)
    asked = list(ANSWERS)[:10]
    assert asked[-1] == "ping@example.org"  # what follows is beside Sendmail
    assert {address: CODES[product.json("check", address)[0]["answer"]] for address in asked} == {
        address: ANSWERS[address] for address in asked
    }
    told = product.run("check", "ping@example.org").stdout
    assert re.findall(r"`(aliases form a loop.*?)`", DOCUMENT)[0] in told


def test_beside_sendmail(product: Product) -> None:
    write(product, "virtusertable", VIRTUSERTABLE)
    write(product, "aliases", "staff: ann, bob\n")
    configure(product, SENDMAIL.replace("/etc/mail", str(product.folder)))
    told = [product.json("check", it)[0] for it in ("info@brand.example", "joe+x@brand.example")]
    assert [it["user"] for it in told] == ["ann, bob", "joe"]
    (refused,) = product.json("check", "zed@brand.example")
    assert refused["reason"] == "not ours: error:nouser No such user here"


def test_in_a_database(product: Product) -> None:
    secret = product.folder / "database.secret"
    secret.touch(0o600)
    secret.write_text("hidden\n")
    databases = DATABASES.replace("/etc/autocreate/database.secret", str(secret))
    configure(product, f"{databases}\n{GROUPS}")
    assert product.run("config", "check").returncode == 0


def write(product: Product, name: str, text: str) -> Path:
    """A file as it is long after it was written."""
    path = product.folder / name
    path.write_text(text)
    os.utime(path, (1, 1))
    return path


def configure(product: Product, example: str) -> None:
    domains = re.findall(r"^domains = \[(.*?)\]", POSTFIX, re.MULTILINE)[0]
    product.configure({"milter": {"domains": re.findall(r'"(.*?)"', domains)}})
    with product.config_file.open("a") as file:
        file.write(f"\n{example}")
