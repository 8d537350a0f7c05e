"""Domains beyond ASCII: what Postfix takes for a domain of its own is verified, and looked up as Postfix does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.servers.common import aged, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.lmtpsink import LmtpSink
from tests.servers.postfix import Postfix
from tests.servers.product import Product
from tests.servers.smtp import Dialogue

MAILBOX_DOMAINS = ["strasse.example", "köln.example", "xn--mnchen-3ya.example"]
ALIAS_DOMAINS = ["marken.example"]
VIRTDOMAINS = {"virtdomains": "userid", "defaultdomain": "example.org"}
ALIASES = {
    "sales@strasse.example": "ann@strasse.example",
    "info@köln.example": "bob@köln.example",
    "info@xn--mnchen-3ya.example": "bob@xn--mnchen-3ya.example",
    "@marken.example": "@köln.example",
}


@contextmanager
def site(cyrus: Cyrus, virtdomains: bool = False) -> Iterator[tuple[Postfix, LmtpSink, Product]]:
    """Our milter in a Postfix that delivers to an LMTP server with SMTPUTF8, as Cyrus has it from 3.12 on."""
    with (
        LmtpSink() as sink,
        Product(cyrus, accounts=["ann", "bob", "ann@xn--kln-sna.example"]) as product,
        Postfix(
            milter=product.socket,
            lmtp=(sink.host, sink.port),
            domains=MAILBOX_DOMAINS,
            aliases=ALIASES,
            alias_domains=ALIAS_DOMAINS,
        ) as postfix,
    ):
        aged(Path(f"{postfix.config}/virtual"))
        table = {"type": "file", "path": f"{postfix.config}/virtual"}
        product.configure(
            {
                "milter": {"domains": MAILBOX_DOMAINS + ALIAS_DOMAINS},
                "cyrus": VIRTDOMAINS if virtdomains else {},
                "aliases": {"virtual": table},
            }
        )
        product.start()
        yield postfix, sink, product


@pytest.fixture(scope="module")
def beyond(cyrus: Cyrus) -> Iterator[tuple[Postfix, LmtpSink]]:
    with site(cyrus) as (postfix, sink, _):
        yield postfix, sink


def mail(postfix: Postfix, sink: LmtpSink, recipient: str) -> list[str]:
    """The reply's code and, if it is 250, the recipient that the LMTP server is told."""
    before = len(sink.recipients)
    with Dialogue(postfix.host, postfix.port) as smtp:
        smtp.ehlo()
        assert smtp.mail("kim@client.test", "SMTPUTF8").ok
        reply = smtp.rcpt(recipient)
        if not reply.ok:
            return [str(reply.code)]
        assert smtp.data("Subject: hello\n\nhello\n").ok
        smtp.quit()
    wait_until(lambda: len(sink.recipients) > before, 10.0, "the delivery", postfix.log)
    return [str(reply.code), *sink.recipients[before:]]


@pytest.mark.parametrize("domain", ["straße.example", "STRAẞE.example"])
def test_a_domain_is_ours_however_it_is_written_that_postfix_folds_to_one_of_ours(
    beyond: tuple[Postfix, LmtpSink], domain: str
) -> None:
    assert mail(*beyond, f"nosuch@{domain}") == ["550"]
    assert mail(*beyond, f"ann@{domain}") == ["250", f"ann@{domain}"]
    assert mail(*beyond, f"sales@{domain}") == ["250", "ann@strasse.example"]


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("info@köln.example", ["250", "bob@köln.example"]),
        ("info@KÖLN.example", ["250", "bob@köln.example"]),
        ("info@xn--mnchen-3ya.example", ["250", "bob@xn--mnchen-3ya.example"]),
        ("nosuch@köln.example", ["550"]),
        ("info@marken.example", ["250", "bob@köln.example"]),
        ("nosuch@marken.example", ["550"]),
    ],
)
def test_an_alias_is_looked_up_with_the_domain_as_it_is_written(
    beyond: tuple[Postfix, LmtpSink], recipient: str, expected: list[str]
) -> None:
    assert mail(*beyond, recipient) == expected


def test_with_virtual_domains_no_user_is_in_a_domain_that_is_written_beyond_ascii(
    cyrus: Cyrus,
) -> None:
    with site(cyrus, virtdomains=True) as (postfix, sink, product):
        assert mail(postfix, sink, "ann@köln.example") == ["550"]
        product.wait_for_log("Cyrus has no users in a domain that is written 'köln.example'")
