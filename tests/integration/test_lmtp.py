"""lmtpd asked at RCPT, between a real MTA and a real Cyrus: what it dies of, what it is too slow for, and lists."""

from __future__ import annotations

import contextlib
import re
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from tests.integration.conftest import TEMPORARY, WHOLE_TREE, Way
from tests.servers.common import HOST, free_port, signal_all, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import Product
from tests.servers.relay import Relay
from tests.servers.smtp import Dialogue, Reply

Begin = Callable[[Product], Way]
Named = Callable[[str], str]

VIRTUAL = {"virtdomains": "userid", "defaultdomain": "example.org"}
FULL = Reply(452, "4.2.2", "Mailbox full")


def asking(cyrus: Cyrus, port: int = 0, **more: Any) -> Mapping[str, Any]:
    """Settings with which lmtpd is asked every time."""
    address = f"{cyrus.host}:{port or cyrus.lmtp_port}"
    return {"lmtp": {"address": address, "cache_seconds": 0, "timeout": 0.5, **more}}


def fill(cyrus: Cyrus, user: str) -> None:
    cyrus.create(f"user/{user}")
    cyrus.append(user, b"Subject: kept\r\n\r\n" + b"x" * 4096 + b"\r\n")
    cyrus.set_quota(f"user/{user}", 1)


@contextlib.contextmanager
def lmtp_session(cyrus: Cyrus) -> Iterator[Dialogue]:
    with Dialogue(cyrus.host, cyrus.lmtp_port) as lmtp:
        lmtp.lhlo()
        yield lmtp


def version_of(cyrus: Cyrus) -> tuple[int, int]:
    with lmtp_session(cyrus) as lmtp:
        found = re.search(r"Cyrus LMTP (\d+)\.(\d+)", lmtp.greeting.text)
        assert found
        return int(found[1]), int(found[2])


# -- what it dies of ---------------------------------------------------------------------------


def test_the_default_domain_in_capitals_is_deferred_until_the_mta_writes_it_in_lower_case() -> None:
    with (
        Cyrus(imapd_conf=VIRTUAL) as cyrus,
        Product(cyrus, accounts=["joe"]) as product,
        Postfix(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port)) as postfix,
    ):
        ours = {**VIRTUAL}
        product.configure({"cyrus": ours, **asking(cyrus)})
        product.start()
        survives = version_of(cyrus) >= (3, 12)
        lmtpds = cyrus.pids_of("lmtpd")

        def talk(*recipients: str) -> list[Reply]:
            with Dialogue(postfix.host, postfix.port) as smtp:
                smtp.ehlo()
                smtp.mail("ann@client.test")
                replies = [smtp.rcpt(it) for it in recipients]
                if replies[0].ok:
                    replies.append(smtp.data(f"Subject: {recipients[0]}\n\nhello\n"))
                smtp.quit()
                return replies

        assert [reply.code for reply in talk("Joe@example.org")] == [250, 250]
        replies = talk("joe@EXAMPLE.org", "joe+x@Example.Org")
        if not survives:
            assert replies == [TEMPORARY, TEMPORARY]
            line = product.wait_for_log("lmtpd crashes on the default domain in capitals.*")[0]
            assert "lmtp_generic_maps" in line

        postfix.set(lmtp_generic_maps="inline:{@example.org=@example.org}")
        postfix.reload()
        product.configure({"cyrus": ours, **asking(cyrus, lowercase_domains=True)})
        product.reload()
        assert [reply.code for reply in talk("joe@EXAMPLE.ORG")] == [250, 250]
        assert len(cyrus.wait_for_messages("joe", 2)) >= 2
        assert lmtpds <= cyrus.pids_of("lmtpd")
        assert "assertion failed" not in cyrus.log()
        assert not re.search(r"status=(deferred|bounced)", postfix.log())


def test_what_needs_smtputf8_is_refused_where_postfix_would_return_it(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["utf-joe"]) as product:
        product.start()
        with (
            lmtp_session(cyrus) as lmtp,
            Postfix(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port)) as postfix,
        ):
            offered = "SMTPUTF8" in lmtp.capabilities

            def talk(sender: str, *parameters: str) -> list[Reply]:
                with Dialogue(postfix.host, postfix.port) as smtp:
                    smtp.ehlo()
                    assert smtp.mail(sender, *parameters).code == 250
                    replies = [smtp.rcpt("utf-joe@example.org")]
                    if replies[0].ok:
                        replies.append(smtp.data("Subject: x\n\nx\n"))
                    smtp.quit()
                    return replies

            # Without asking, it is accepted; where lmtpd does not offer it, Postfix sends it back.
            assert [reply.code for reply in talk("änn@client.test", "SMTPUTF8")] == [250, 250]
            if not offered:
                postfix.wait_for_log("dsn=5.6.7, status=bounced")
            product.configure(asking(cyrus))
            product.reload()
            (reply, *_) = talk("änn@client.test", "SMTPUTF8")
            assert (reply.code, reply.enhanced) == ((250, "2.1.5") if offered else (553, "5.6.7"))
            assert [reply.code for reply in talk("ann@client.test", "SMTPUTF8")] == [250, 250]
            postfix.wait_for_log("from=<ann@client.test>")
            cyrus.wait_for_messages("utf-joe")


# -- what it is too slow for -------------------------------------------------------------------

SOON = 10.0  # seconds; lmtpd has three times half a second


def known(here: Way, user: str) -> None:
    """A known recipient is accepted, and soon."""
    begun = time.monotonic()
    assert here.codes(user) == [250]
    assert time.monotonic() - begun < SOON, here.product.log()[-3000:]


def test_while_lmtpd_is_silent_or_away_what_we_knew_decides(
    cyrus: Cyrus, way: Begin, named: Named
) -> None:
    warm, cold = named("lmtp-warm"), named("lmtp-cold")
    with Relay(cyrus.lmtp_port) as relay:
        product = Product(cyrus, accounts=[warm, cold], settings=asking(cyrus, relay.port))
        here = way(product)
        known(here, warm)
        relay.pause()
        known(here, warm)  # three waits of half a second at most
        assert here.codes(named("lmtp-nobody"), cold) == [550, 250]
        assert here.tree(cold) == WHOLE_TREE
        relay.resume()
        before = len(relay.written)
        wait_until(
            lambda: here.codes(warm) == [250] and len(relay.written) > before, 20.0, "a question"
        )
        product.wait_for_log("INFO lmtpd answers again")
    known(here, warm)  # nobody listens there any more
    assert here.codes(named("lmtp-nobody"), cold) == [550, 250]
    assert product.log().count("mail is accepted without its check") == 2


def test_an_lmtpd_that_is_killed_costs_nobody_a_451(way: Begin, named: Named) -> None:
    with Cyrus() as cyrus:
        here = way(Product(cyrus, accounts=["joe"], settings=asking(cyrus)))
        known(here, "joe")
        for _ in range(3):
            signal_all(list(cyrus.pids_of("lmtpd")), signal.SIGKILL)
            known(here, "joe")
        assert "answer=temporary" not in here.product.log()


# -- lists, and what is told -------------------------------------------------------------------


def test_a_full_member_stops_no_list(cyrus: Cyrus) -> None:
    for user in ("list-full", "list-fuller"):
        fill(cyrus, user)
    aliases = {
        "team@example.org": "list-full@example.org, list-member@example.org",
        "full@example.org": "list-full@example.org, list-fuller@example.org",
    }
    with Product(cyrus, accounts=["list-full", "list-fuller", "list-member"]) as product:
        port = free_port()
        with Postfix(
            milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port), aliases=aliases
        ) as postfix:
            virtual = {
                "type": "postmap",
                "map": f"texthash:{postfix.config}/virtual",
                "config_directory": str(postfix.config),
            }
            product.configure(
                {
                    **asking(cyrus),
                    "aliases": {"virtual": virtual},
                    "metrics": {"listen": f"{HOST}:{port}"},
                }
            )
            product.start()
            with Dialogue(postfix.host, postfix.port) as smtp:
                smtp.ehlo()
                smtp.mail("ann@example.org")
                assert smtp.rcpt("full@example.org") == FULL
                assert smtp.rcpt("team@example.org").code == 250
                assert smtp.data("Subject: to all\n\nhello\n").code == 250
                assert len(cyrus.wait_for_messages("list-member")) == 1
            assert re.search(
                r"recipient=<team@example.org>.*list-full: Cyrus refuses the mail: 452 4.2.2",
                product.log(),
            )
            with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=10) as page:
                told = page.read().decode()
            assert 'autocreate_recipients_total{answer="refused",frontend="milter"} 1.0' in told
            assert "autocreate_lmtp_lookups_total 4.0" in told
            assert "autocreate_lmtp_errors_total 0.0" in told
            assert 'autocreate_cache_limit{cache="lmtp"}' in told
            # Of several users none of whom takes it.
            (answer,) = product.json("check", "full@example.org")
            assert (answer["answer"], answer["reply"]) == ("refused", "452 4.2.2 Mailbox full")


def test_commands_say_what_lmtpd_says(cyrus: Cyrus) -> None:
    fill(cyrus, "told-full")
    with Product(cyrus, accounts=["told-full", "told-joe"], settings=asking(cyrus)) as product:
        cyrus.create("user/told-joe")
        done = product.run("check", "told-full@example.org")
        assert done.returncode == 75
        assert "reason:   Cyrus refuses the mail: 452 4.2.2 Over quota\n" in done.stdout
        done = product.run("explain", "told-full@example.org")
        assert done.returncode == 75
        assert "  reply: 452 4.2.2 Mailbox full\n" in done.stdout
        assert "  note: lmtpd says 250 2.1.5 ok\n" in product.run("explain", "told-joe").stdout
        # A tree is made whatever lmtpd says: nobody asks it.
        assert product.run("provision", "told-full@example.org").returncode == 0
        product.start()
        assert "lmtpd: 0 lookups" in product.run("cache", "show").stdout


@pytest.mark.parametrize("seconds", [60.0, 0])
def test_a_deleted_mailbox_is_missed_when_the_answer_is_forgotten(
    cyrus: Cyrus, way: Begin, named: Named, seconds: float
) -> None:
    user = named(f"lmtp-deleted-{seconds:g}")
    settings = asking(cyrus, cache_seconds=seconds)
    here = way(Product(cyrus, accounts=[user], settings=settings, policies=[{"name": "everyone"}]))
    assert here.codes(user) == [250]
    cyrus.delete(f"user/{user}")
    if seconds:
        assert here.codes(user) == [250]
        assert here.tree(user) == []
        assert here.product.run("cache", "clear", "--user", user).returncode == 0
    assert here.codes(user) == [250]
    assert here.tree(user) == [""]
