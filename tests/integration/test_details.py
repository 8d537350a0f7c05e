"""Where a detail begins: to Postfix, to Cyrus behind it, and to us between them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.integration.conftest import Way
from tests.integration.test_aliases import MESSAGE, compiled, write
from tests.servers import smtp
from tests.servers.common import wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import Product

DELIMITERS = {"recipient_delimiter": "+-"}


def by_local(cyrus: Cyrus) -> Mapping[str, str]:
    """Mail goes by way of local(8), which knows of details itself; else it goes to lmtp(8) at once."""
    return {
        "virtual_mailbox_domains": "",
        "mydestination": "example.org",
        "myorigin": "example.org",
        "local_recipient_maps": "",
        "mailbox_transport": f"lmtp:inet:{cyrus.host}:{cyrus.lmtp_port}",
    }


@pytest.mark.parametrize("transport", ["lmtp", "local"])
def test_a_detail_leads_to_the_user_whom_cyrus_delivers_it_to(cyrus: Cyrus, transport: str) -> None:
    """What begins one besides a plus is Postfix's own business: Cyrus is told the whole local part."""
    pat, anna = f"pat{transport}", f"anna-{transport}"
    parameters = {**DELIMITERS, **(by_local(cyrus) if transport == "local" else {})}
    with (
        Product(cyrus, accounts=[pat, anna], settings={"milter": DELIMITERS}) as product,
        Postfix(
            milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port), parameters=parameters
        ) as mta,
    ):
        product.start()
        accepted = [f"{pat}+lists", anna, f"{anna}+x-y"]
        assert Way(product, mta).codes(f"{pat}-lists", *accepted) == [550, 250, 250, 250]
        for count, user in enumerate(accepted, 1):
            smtp.send(mta.host, mta.port, "ann@client.test", [f"{user}@example.org"], MESSAGE)
            wait_until(lambda: mta.log().count("status=sent") == count, 10.0, user, mta.log)  # noqa: B023
        assert len(cyrus.messages(pat)) == 1
        assert len(cyrus.messages(anna)) == 2


def test_the_milter_and_postfix_find_the_alias_before_a_delimiter_of_postfixs(cyrus: Cyrus) -> None:
    parameters = {**DELIMITERS, **by_local(cyrus)}
    with Product(cyrus, accounts=["quinn"]) as product:
        table = write(product.folder / "aliases", "team: quinn\n")
        compiled(table, product, "postalias")
        aliases = {"it": {"type": "aliases", "path": str(table)}}
        product.configure({"milter": DELIMITERS, "aliases": aliases})
        product.start()
        parameters["alias_maps"] = f"hash:{table}"
        with Postfix(milter=product.socket, parameters=parameters) as mta:
            assert Way(product, mta).codes("team-x", "quinn-x") == [250, 550]
            smtp.send(mta.host, mta.port, "ann@client.test", ["team-x@example.org"], MESSAGE)
            cyrus.wait_for_messages("quinn")
