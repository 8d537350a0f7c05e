"""Dry run beside the recipient maps of a site: nothing changes for senders, and the report shows both answers."""

from __future__ import annotations

import json
import re
import smtplib
from collections.abc import Iterable
from pathlib import Path

from tests.servers.common import HOST, aged, run
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import Product

CONTRIB = Path(__file__).resolve().parents[2] / "contrib"

# Postfix's own list: one account that is gone, and one that exists; the new account is not in it.
MAPS = {
    "virtual_mailbox_maps": "inline:{ gone@example.org=x, listed@example.org=x }",
    "virtual_transport": "lmtp:inet:127.0.0.1:24",
    "virtual_alias_domains": "alias.test",
    "virtual_alias_maps": "inline:{ all@alias.test=listed@example.org }",
}
RECIPIENTS = {
    "listed@example.org": 250,
    "gone@example.org": 250,
    "fresh@example.org": 550,
    "nobody@example.org": 550,
    "all@alias.test": 250,
    "none@alias.test": 550,
}


def codes(postfix: Postfix, recipients: Iterable[str] = tuple(RECIPIENTS)) -> dict[str, int]:
    """What Postfix answers for each recipient."""
    with smtplib.SMTP(HOST, postfix.port, timeout=60) as client:
        client.ehlo("client.test")
        client.mail("ann@client.test")
        return {it: client.rcpt(it)[0] for it in recipients}


def test_the_sites_maps_stay_and_both_answers_are_counted(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["listed", "fresh"]) as product:
        product.start("--dry-run")
        with Postfix(milter=product.socket, parameters=MAPS) as postfix:
            assert codes(postfix) == RECIPIENTS
        product.stop()
        assert cyrus.mailboxes("user/listed") | cyrus.mailboxes("user/fresh") == set()
        report = json.loads(product.run("report", "--json").stdout)
        text = product.run("report").stdout
    cells = {
        ("refused" if it["refused"] else "accepted", it["answer"]): it["count"]
        for it in report["dry_run"]["recipients"]
    }
    assert cells == {
        ("accepted", "accept"): 1,  # listed
        ("accepted", "unknown"): 1,  # gone: today its mail bounces
        ("refused", "accept"): 1,  # fresh: today it gets no mail
        ("refused", "unknown"): 1,  # nobody; alias.test is not ours
    }
    assert report["outcomes"].get("unknown", 0) == 0
    assert "Dry run: what the MTA did, and what we would say" in text
    assert "  1  refused   accepted" in text
    assert "  1  accepted  unknown (550)" in text


def test_what_the_mta_refused_is_not_asked_for_outside_dry_run(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["fresh"]) as product:
        product.start("--dry-run")
        with (
            Postfix(milter=product.socket, parameters=MAPS) as postfix,
            smtplib.SMTP(HOST, postfix.port, timeout=60) as early,
        ):
            early.ehlo("client.test")
            early.mail("ann@client.test")
            product.configure({"milter": {"mode": "enforce"}})
            product.stop()
            product.start()
            assert early.rcpt("fresh@example.org")[0] == 550
            assert codes(postfix)["fresh@example.org"] == 550
        assert cyrus.mailboxes("user/fresh") == set()
        product.stop()
        assert json.loads(product.run("report", "--json").stdout)["dry_run"]["recipients"] == []


def test_going_live_and_back_as_contrib_has_it(cyrus: Cyrus) -> None:
    text = (CONTRIB / "postfix/README.md").read_text()
    go_live, undo = re.findall(r"```sh\n( *postconf (?:virtual|-e \"\$).*?)```", text, re.DOTALL)
    with Product(cyrus, accounts=["listed", "late"]) as product:
        product.configure({"milter": {"mode": "dry-run"}})
        product.start()
        with Postfix(milter=product.socket, parameters=MAPS) as postfix:

            def follow(commands: str) -> None:
                here = commands.replace("/etc/postfix", str(postfix.config)).replace(
                    "/etc/autocreate/autocreate.toml", str(product.config_file)
                )
                functions = (
                    f'postconf() {{ command postconf -c {postfix.config} "$@"; }}\n'
                    f"systemctl() {{ echo $2 >>{product.folder}/reloaded; }}\n"
                )
                run(["sh", "-euc", functions + here])
                aged(postfix.config / "main.cf")
                assert product.reload() == "INFO reloaded"
                postfix.reload()

            before = run(["postconf", "-c", postfix.config, "virtual_mailbox_maps"])
            follow(go_live)
            assert codes(postfix, ["late@example.org", "nobody@example.org"]) == {
                "late@example.org": 250,
                "nobody@example.org": 550,
            }
            assert "user/late" in cyrus.mailboxes("user/late")
            follow(undo)
            assert run(["postconf", "-c", postfix.config, "virtual_mailbox_maps"]) == before
            assert codes(postfix) == RECIPIENTS
            assert (product.folder / "reloaded").read_text().split() == [
                *("autocreate-milter", "postfix", "postfix", "autocreate-milter")
            ]
