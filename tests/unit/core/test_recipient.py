"""How an MTA will write a recipient to Cyrus, by what it and the client said."""

from __future__ import annotations

import pytest

from autocreate.core.address import parse
from autocreate.core.recipient import as_delivered, as_the_mta_sees_it
from autocreate.model import Recipient


@pytest.mark.parametrize(
    ("argument", "rewritten", "delivered"),
    [
        # Postfix tells milters lower case, and Cyrus the client's spelling.
        ("<Joe+News@Example.ORG>", "joe+news@example.org", "Joe+News@Example.ORG"),
        ("<joe@example.org>", "joe@example.org", "joe@example.org"),
        ("joe@example.org", None, "joe@example.org"),
        ("<@relay.test:Joe+News@EX.test>", "joe+news@ex.test", "Joe+News@EX.test"),
        ("<Joe+News>", "joe+news@origin.test", "Joe+News@origin.test"),
        ("<joe@EX.Test.>", "joe@ex.test", "joe@EX.Test"),
        ('<"joe"@EX.test>', "joe@ex.test", "joe@EX.test"),
        ("<joe@straße.example>", "joe@strasse.example", "joe@straße.example"),
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
