"""`autocreate explain` against a real Cyrus: every step of a decision, and where it comes from."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.servers.cyrus import Cyrus
from tests.servers.product import Product

POLICIES: list[dict[str, Any]] = [
    {"name": "students", "groups": ["students"], "folders": [{"name": "Sent"}], "quota": "2G"},
    {"name": "guests", "domains": ["guests.example.org"], "create": False},
    {"name": "everyone"},
]


@pytest.fixture(scope="module")
def product(cyrus: Cyrus) -> Iterator[Product]:
    settings = {"milter": {"domains": ["example.org", "guests.example.org"]}}
    with Product(cyrus, settings=settings, policies=POLICIES) as made:
        made.add_account("ex-new", "students")
        made.add_account("ex-old")
        cyrus.create("user/ex-old")
        (made.folder / "users").write_text("ex-old\n")
        os.utime(
            made.folder / "users", (1, 1)
        )  # the no of a file that was written just now is not certain
        (made.folder / "aliases").write_text("ex-list: ex-new, ex-old\n")
        for name in (
            "users",
            "aliases",
        ):  # the no of a file that was written just now is not certain
            os.utime(made.folder / name, (1, 1))
        made.configure(
            {
                **settings,
                "accounts": {
                    "staff": {
                        "type": "sql",
                        "url": f"sqlite:///{made.database}",
                        "query": "SELECT userid FROM accounts WHERE userid = :user AND enabled",
                        "groups_query": "SELECT name FROM memberships WHERE userid = :user",
                    },
                    "papers": {"type": "file", "path": f"{made.folder}/users"},
                },
                "aliases": {"local": {"type": "aliases", "path": f"{made.folder}/aliases"}},
            }
        )
        yield made


def explained(product: Product, address: str, *options: str) -> tuple[int, str]:
    """Exit status and words, without what differs from run to run."""
    done = product.run("explain", address, *options)
    assert not done.stderr
    text = re.sub(r"[0-9.]+ ms", "N ms", done.stdout)
    return done.returncode, text.replace(str(product.folder), "DIR")


def test_a_new_user_is_explained_to_the_lines_of_the_file(product: Product) -> None:
    status, text = explained(product, "ex-new@example.org")
    assert status == 0
    assert text == NEW
    assert product.cyrus.mailboxes("user/ex-new*") == set()


NEW = """\
ex-new@example.org: accept

Recipient
  recipients that are ours
    DIR/autocreate.toml, line 4: domains = ["example.org", "guests.example.org"]
    default: milter.mailers = ["lmtp", "cyrusv2", "virtual", "local"]
  how an address becomes a user
    default: milter.recipient_delimiter = "+"
    default: cyrus.virtdomains = "off"
    default: cyrus.lmtp_downcase_rcpt = true
  alias tables
    aliases.local: DIR/autocreate.toml, line 44

User ex-new, for ex-new@example.org
  account sources
    accounts.staff: knows the user (N ms)
      DIR/autocreate.toml, line 15
      groups: students
    accounts.papers: does not know the user (N ms)
      DIR/autocreate.toml, line 21
  policies
    students: applies: the user is in group 'students'
      DIR/autocreate.toml, line 25
    guests: no: it is for other domains than 'example.org'
      DIR/autocreate.toml, line 33
    everyone: no: it is for everyone, but an earlier policy matches
      DIR/autocreate.toml, line 38
  policy as written
    DIR/autocreate.toml, line 25: [[policy]]
    DIR/autocreate.toml, line 26: name = "students"
    DIR/autocreate.toml, line 27: groups = ["students"]
    DIR/autocreate.toml, line 28: folders = [ { name = "Sent" }, ]
    DIR/autocreate.toml, line 31: quota = "2G"
  tree of the policy
    create INBOX
    set quota 2097152 KiB
    create Sent
  existing tree
    no INBOX

Decision
  has an account and no mailbox
  would create INBOX
  would set quota 2097152 KiB
  would create Sent
  reply: none, the MTA decides
"""


def test_a_list_is_explained_by_its_users(product: Product) -> None:
    status, text = explained(product, "ex-list@example.org")
    assert status == 0
    assert "  aliases followed\n    ex-list@example.org -> ex-new, ex-old (aliases.local)\n" in text
    assert "User ex-new, for ex-new@example.org\n" in text
    old = text.partition("User ex-old")[2].partition("\n\n")[0]
    assert "accounts.papers: knows the user" in old
    assert "everyone: applies: it is for everyone" in old
    assert "    INBOX exists\n" in old


def test_an_unknown_user_is_explained_by_what_each_source_said(product: Product) -> None:
    status, text = explained(product, "ex-nobody@example.org")
    assert status == 65
    assert "accounts.staff: does not know the user (N ms)" in text
    assert "accounts.papers: does not know the user (N ms)" in text
    assert "no INBOX" in text
    assert text.endswith(
        "Decision\n  no account source knows this user\n  reply: 550 5.1.1 User unknown\n"
    )


def test_a_policy_that_creates_nothing_is_explained(product: Product) -> None:
    status, text = explained(product, "ex-old@guests.example.org")
    assert status == 0  # the mailbox exists
    assert "guests: applies: its domains have 'guests.example.org'; it creates no mailbox" in text


def test_a_recipient_elsewhere_has_no_user_and_the_line_that_says_so(product: Product) -> None:
    status, text = explained(product, "joe@other.test")
    assert status == 0
    assert text.startswith("joe@other.test: pass\n\nRecipient\n  recipients that are ours\n")
    assert '    DIR/autocreate.toml, line 4: domains = ["example.org", "guests' in text
    assert "\nUser " not in text
    assert text.endswith(
        "\n\nDecision\n  domain 'other.test' is not ours\n  reply: none, the MTA decides\n"
    )


def test_json_has_the_same(product: Product) -> None:
    done = product.run("explain", "ex-new@example.org", "--json")
    data = json.loads(done.stdout)
    (user,) = data["users"]
    assert [it["source"] for it in user["sources"]] == ["staff", "papers"]
    assert user["sources"][0]["groups"] == ["students"]
    assert [it["place"].rpartition(", ")[2] for it in user["sources"]] == ["line 15", "line 21"]
    assert data["settings"]["ours"][0] == {
        "place": f"{product.config_file}, line 4",
        "text": 'domains = ["example.org", "guests.example.org"]',
    }
    assert [it["text"] for it in data["settings"]["alias_tables"]] == ["aliases.local"]
    assert [it["counts"] for it in user["policies"]] == [True, False, False]
    assert user["standing"] == ["no INBOX"]
    assert data["answer"] == "accept"
    assert "create INBOX" in user["tree"]
