"""A site that has its options in imapd.conf: the lines of contrib/cyrus, overriding them, and reading them anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers import smtp
from tests.servers.cyrus import Cyrus
from tests.servers.milterclient import MilterClient
from tests.servers.postfix import Postfix
from tests.servers.product import Product

CONTRIB = Path(__file__).resolve().parents[2] / "contrib/cyrus"
ON = "autocreate_quota: 0\nautocreate_post: yes\n"


@pytest.fixture(scope="module")
def virtual() -> Iterator[Cyrus]:
    """A Cyrus with virtual domains."""
    options = {"virtdomains": "userid", "defaultdomain": "example.org"}
    with Cyrus(imapd_conf=options) as server:
        server.create("Announcements")
        yield server


def ours(product: Product, cyrus: Cyrus, text: str) -> None:
    """Writes an imapd.conf that only we read."""
    (product.folder / "imapd.conf").write_text(f"@include: {cyrus.imapd_conf_file}\n{text}")


def point(product: Product, **more: object) -> None:
    product.configure(
        {
            "milter": {"domains": ["*"]},
            "cyrus": {"imapd_conf": f"{product.folder}/imapd.conf"},
            **more,
        }
    )


def test_the_lines_of_contrib_make_the_tree_and_capitals_reach_it(virtual: Cyrus) -> None:
    with Product(virtual, accounts=["pia", "pia@other.test"], policies=[]) as product:
        text = (CONTRIB / "imapd.conf").read_text()
        assert text.count("@include: /etc/imapd.conf\n") == 1
        ours(product, virtual, text.replace("@include: /etc/imapd.conf\n", ""))
        point(product)
        product.start()
        (line,) = [
            line
            for line in (CONTRIB / "main.cf").read_text().splitlines()
            if not line.startswith("#")
        ]
        name, _, value = line.partition(" = ")
        value = value.replace("}", ", @other.test=@other.test}")
        with Postfix(
            milter=product.socket,
            lmtp=(virtual.host, virtual.lmtp_port),
            domains=("example.org", "other.test"),
            parameters={name: value},
        ) as postfix:
            replies = smtp.send(
                postfix.host,
                postfix.port,
                "ann@client.test",
                ["pia@EXAMPLE.org", "Pia@Other.TEST"],
                "Subject: hello\n\nhi\n",
            )
            assert [reply.code for reply in replies] == [250, 250, 250]
            assert len(virtual.wait_for_messages("pia")) == 1
            assert len(virtual.wait_for_messages("pia@other.test")) == 1
    folders = {"Sent": "\\Sent", "Drafts": "\\Drafts", "Junk": "\\Junk", "Trash": "\\Trash"}
    for user in ("pia", "pia@other.test"):
        assert virtual.special_use(user) == {f"INBOX/{it}": use for it, use in folders.items()}
    assert virtual.quota("user/pia@other.test") == {"STORAGE": 2 << 20}
    assert virtual.acl("user/pia/Junk")["anyone"] == "p"
    assert virtual.subscriptions("pia") == {
        "INBOX",
        "Announcements",
        *(f"INBOX/{folder}" for folder in folders),
    }


def test_a_policy_of_our_own_comes_first_and_may_differ_per_domain(virtual: Cyrus) -> None:
    users = ["tom", "tom@a.test", "tom@b.test"]
    policy = {"name": "b", "domains": ["b.test"], "folders": [{"name": "Of b"}]}
    with Product(virtual, accounts=users, policies=[policy]) as product:
        ours(product, virtual, ON + "autocreate_inbox_folders: Of imapd_conf\n")
        point(product)
        said = product.json("provision", "tom@example.org", "tom@a.test", "tom@b.test")
    assert [it["policy"] for it in said] == ["imapd.conf", "imapd.conf", "b"]
    assert virtual.mailboxes("user/tom/*") == {
        "user/tom/Of imapd_conf",
        "user/tom/Of imapd_conf@a.test",
        "user/tom/Of b@b.test",
    }


def test_a_reload_reads_imapd_conf_anew(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["uli", "ulf"], policies=[]) as product:
        ours(product, cyrus, ON)
        point(product)
        product.start()
        assert reply(product, "ulf@example.org") == "continue"
        ours(product, cyrus, ON + "autocreate_inbox_folders: Later\n")
        product.reload()
        assert reply(product, "uli@example.org") == "continue"
        ours(product, cyrus, ON + "autocreate_post:\n")
        assert "imapd.conf, line 4: autocreate_post: has no value" in product.reload()
        assert reply(product, "uli@example.org") == "continue"
    assert cyrus.mailboxes("user/ulf*") == {"user/ulf"}
    assert cyrus.mailboxes("user/uli*") == {"user/uli", "user/uli/Later"}


def test_each_step_is_logged(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["vera"], policies=[]) as product:
        ours(
            product,
            cyrus,
            ON + "autocreate_inbox_folders: Sent\nautocreate_subscribe_folders: Sent\n"
            "autocreate_subscribe_sharedfolders: gone\n",
        )
        point(product)
        product.start()
        reply(product, "vera@example.org")
        product.wait_for_log(
            "vera: done: create INBOX, set quota without limits, create Sent, "
            "subscribe to INBOX, subscribe to Sent$"
        )
        product.wait_for_log("vera: could not subscribe to shared folder gone, will not retry")


def reply(product: Product, recipient: str) -> str:
    """What the milter has the MTA do."""
    with MilterClient(product.socket) as client:
        client.connect()
        client.helo()
        client.envfrom("<ann@client.test>")
        return client.envrcpt(f"<{recipient}>", {"{rcpt_mailer}": "lmtp"}).verdict
