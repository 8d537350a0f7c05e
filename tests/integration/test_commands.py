"""`check`, `plan` and `provision` against a real Cyrus: what they say, what they do, and how they end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.brake import Brake
from tests.servers.cyrus import Cyrus
from tests.servers.product import Product

ACCOUNTS = ["checked", "planned", "provisioned", "standing", "half", "many-a", "many-b"]

ACTIONS = [
    "create INBOX",
    "set quota 2097152 KiB",
    "create Sent as \\Sent",
    "create Entwürfe as \\Drafts",
    "create Archive/2026",
    "grant anyone lr on Archive/2026",
    "subscribe to Sent",
    "subscribe to Entwürfe",
]


@pytest.fixture(scope="module")
def brake(cyrus: Cyrus) -> Iterator[Brake]:
    with Brake(cyrus.imap_port) as brake:
        yield brake


@pytest.fixture(scope="module")
def product(cyrus: Cyrus, brake: Brake) -> Iterator[Product]:
    cyrus.create("user/standing")
    settings = {"cyrus": {"port": brake.port, "timeout": 2.0}}
    with Product(cyrus, accounts=ACCOUNTS, settings=settings) as product:
        yield product


def said(product: Product, *arguments: str) -> tuple[int, list[str]]:
    done = product.run(*arguments)
    return done.returncode, done.stdout.splitlines()


def trees(product: Product, user: str) -> set[str]:
    return product.cyrus.mailboxes(f"user/{user}*")


def test_check_says_the_verdict_and_why_and_changes_nothing(product: Product) -> None:
    assert said(product, "check", "checked@example.org") == (
        0,
        [
            "checked@example.org: accept",
            "  reason:   has an account and no mailbox",
            "  user:     checked",
            "  account:  staff",
            "  policy:   everyone",
            *(f"  would:    {action}" for action in ACTIONS),
        ],
    )
    assert trees(product, "checked") == set()
    assert product.unfinished() == {}


def test_check_says_what_a_sender_would_be_told(product: Product) -> None:
    assert said(product, "check", "nobody@example.org") == (
        65,
        [
            "nobody@example.org: unknown",
            "  reason:   no account source knows this user",
            "  user:     nobody",
            "  reply:    550 5.1.1 User unknown",
        ],
    )
    assert said(product, "check", "a@b@example.org")[0] == 65
    assert said(product, "check", "joe@elsewhere.test") == (
        0,
        ["joe@elsewhere.test: pass", "  reason:   domain 'elsewhere.test' is not ours"],
    )
    assert said(product, "check", "--mailer", "smtp", "checked@example.org") == (
        0,
        ["checked@example.org: pass", "  reason:   mailer 'smtp' is not ours"],
    )


def test_check_ends_with_the_gravest_of_several_verdicts(product: Product) -> None:
    found = product.run("check", "--json", "standing@example.org", "nobody@example.org")
    assert found.returncode == 65
    answers = [
        it["answer"] for it in product.json("check", "standing@example.org", "nobody@e.test")
    ]
    assert answers == ["accept", "pass"]


def test_plan_shows_what_provision_would_do_and_does_nothing(product: Product) -> None:
    status, lines = said(product, "plan", "planned@example.org")
    assert status == 0
    marks = ["~" if it.startswith(("set ", "grant ")) else "+" for it in ACTIONS]
    assert lines[-len(ACTIONS) - 1 :] == [
        *(f"  {mark}         {it}" for mark, it in zip(marks, ACTIONS, strict=True)),
        "Plan: 6 to create, 2 to change.",
    ]
    assert said(product, "plan", "standing@example.org")[1][-1] == "Plan: nothing to do."
    (found,) = product.json("plan", "planned@example.org")
    assert found["plan"][0] == {
        "action": "create",
        "folder": "INBOX",
        "special_use": None,
        "partition": None,
    }
    assert [it["action"] for it in found["plan"]] == [
        *("create", "quota", "create", "create", "create", "acl", "subscribe", "subscribe")
    ]
    assert found["created"] is False
    assert trees(product, "planned") == set()


def test_provision_makes_the_tree_and_the_second_time_nothing(product: Product) -> None:
    status, lines = said(product, "provision", "provisioned@example.org")
    assert (status, lines[:2]) == (
        0,
        ["provisioned@example.org: accept", "  reason:   created"],
    )
    assert lines[-len(ACTIONS) :] == [f"  did:      {action}" for action in ACTIONS]
    assert trees(product, "provisioned") == {
        f"user/provisioned{below}"
        for below in ("", "/Sent", "/Entwürfe", "/Archive", "/Archive/2026")
    }
    product.cyrus.delete("user/provisioned/Sent")
    (again,) = product.json("provision", "provisioned@example.org")
    assert (again["answer"], again["reason"], again["plan"]) == ("accept", "INBOX exists", [])
    assert "user/provisioned/Sent" not in trees(product, "provisioned")


def test_provision_takes_several_and_tells_them_apart(product: Product) -> None:
    done = product.run("provision", "--json", "many-a@example.org", "nobody@example.org", "many-b")
    assert done.returncode == 65
    found = product.json("provision", "many-a", "nobody", "many-b")
    assert [it["answer"] for it in found] == ["accept", "unknown", "accept"]
    assert "user/many-a" in trees(product, "many-a")
    assert "user/many-b" in trees(product, "many-b")


@pytest.mark.parametrize("command", ["check", "plan", "provision"])
def test_what_is_no_address_does_not_keep_the_others_from_theirs(
    product: Product, command: str
) -> None:
    found = product.json(command, "a b@example.org", "standing@example.org")
    assert [(it["answer"], it["reason"]) for it in found] == [
        ("malformed", "' ' outside quotes"),
        ("accept", "INBOX exists"),
    ]


@pytest.mark.parametrize("command", ["check", "plan", "provision"])
def test_when_cyrus_cannot_be_asked_it_is_a_doubt(
    product: Product, brake: Brake, command: str
) -> None:
    brake.refuse()
    try:
        status, lines = said(product, command, "half@example.org")
    finally:
        brake.release()
    assert (status, lines[0]) == (75, "half@example.org: temporary")
    assert lines[1].startswith(f"  reason:   Cyrus at 127.0.0.1:{brake.port} ")
    assert trees(product, "half") == set()


@pytest.mark.parametrize("command", ["check", "plan", "provision"])
def test_a_wrong_configuration_is_said_before_anything_else(
    product: Product, tmp_path: Path, command: str
) -> None:
    wrong = tmp_path / "autocreate.toml"
    wrong.write_text('[milter]\ndomains = ["example.org"]\n')
    done = product.run(command, "--config", str(wrong), "half@example.org")
    assert (done.returncode, done.stdout) == (78, "")
    assert f"autocreate: {wrong}: cyrus: is missing" in done.stderr
