"""How an MTA will write a recipient to Cyrus, by what it and the client said."""

from __future__ import annotations

import pytest

from autocreate.core.address import parse
from autocreate.core.recipient import as_delivered, as_the_mta_sees_it, is_mapped_by
from autocreate.model import Recipient


@pytest.mark.parametrize(
    ("argument", "rewritten", "delivered"),
    [
        # Postfix tells milters lower case, and Cyrus the client's spelling.
        ("<Joe+News@Example.ORG>", "joe+news@example.org", "Joe+News@Example.ORG"),
        ("<joe@example.org>", "joe@example.org", "joe@example.org"),
        ("joe@example.org", None, "joe@example.org"),
        ("<joe@EX.test>", None, "joe@EX.test"),
        ("<Joe>", None, "Joe"),
        (" <Joe@EX.test> ", "joe@ex.test", "Joe@EX.test"),
        ("<Joe@EX.test>", "<joe@ex.test>", "Joe@EX.test"),
        ("<@relay.test:Joe+News@EX.test>", "joe+news@ex.test", "Joe+News@EX.test"),
        ("<Joe+News>", "joe+news@origin.test", "Joe+News@origin.test"),
        ("<joe@EX.Test.>", "joe@ex.test", "joe@EX.Test"),
        ('<"joe"@EX.test>', "joe@ex.test", "joe@EX.test"),
        ("<joe@straße.example>", "joe@strasse.example", "joe@straße.example"),
        ("<@relay.test:JOE@ex.test>", "Joe@ex.test", "JOE@ex.test"),
        # A canonical(5) table has made another address of it.
        ("<Joe@Example.ORG>", "kim@other.test", "kim@other.test"),
        # Sendmail's local mailers send what {rcpt_addr} says.
        ("<Joe+News@Example.ORG>", "joe+news", "joe+news"),
    ],
)
def test_the_recipient_is_written_as_the_mta_will_write_it(
    argument: str, rewritten: str | None, delivered: str
) -> None:
    recipient = Recipient(argument, rewritten)
    address = parse(as_the_mta_sees_it(recipient))
    assert as_delivered(recipient, address, lowers_domains=False) == delivered


def test_an_mta_that_writes_domains_in_lower_case_leaves_the_local_part_alone() -> None:
    recipient = Recipient("<Joe+News@Example.ORG>", "joe+news@example.org")
    address = parse(recipient.argument)
    assert as_delivered(recipient, address, lowers_domains=True) == "Joe+News@example.org"


def test_a_domain_beyond_ascii_stays_as_it_was_written_in_lower_case() -> None:
    recipient = Recipient("<Joe@BÜCHER.example>", "joe@bücher.example")
    address = parse(recipient.argument)
    assert as_delivered(recipient, address, lowers_domains=True) == "Joe@bücher.example"
    assert as_delivered(recipient, address, lowers_domains=False) == "Joe@BÜCHER.example"


@pytest.mark.parametrize(
    ("argument", "rewritten", "seen"),
    [
        # The spelling is the client's: whether capitals count is for Cyrus to say.
        ("<Joe@Example.ORG>", "joe@example.org", "<Joe@Example.ORG>"),
        ("<Joe@Example.ORG>", "<joe@example.org>", "<Joe@Example.ORG>"),
        ("<joe@example.org>", "JOE@example.org", "<joe@example.org>"),
        ("<Joe@Example.ORG>", None, "<Joe@Example.ORG>"),
        ("  <Joe@Example.ORG> ", "", "<Joe@Example.ORG>"),
        ("<joe@Straße.example>", "joe@strasse.example", "<joe@Straße.example>"),
        # Another address is the MTA's.
        ("<@relay.test:joe@example.org>", "joe@example.org", "joe@example.org"),
        ("<joe@example.org>", "kim@other.test", "kim@other.test"),
        # A local name of Sendmail's has the domain that the client wrote, if it wrote one.
        ("<joe@example.org>", "joe", "joe@example.org"),
        ("<joe>", "joe", "<joe>"),
        ("<joe smith@example.org>", "joe", "joe"),
    ],
)
def test_the_address_is_the_mtas_in_the_clients_spelling(
    argument: str, rewritten: str | None, seen: str
) -> None:
    assert as_the_mta_sees_it(Recipient(argument, rewritten)) == seen


@pytest.mark.parametrize(
    ("rewritten", "is_mapped"),
    [("joe", True), ("joe@example.org", False), ("", False), (None, False)],
)
def test_a_local_name_is_one_that_sendmail_has_mapped(
    rewritten: str | None, is_mapped: bool
) -> None:
    assert is_mapped_by(Recipient("<joe@example.org>", rewritten)) is is_mapped
