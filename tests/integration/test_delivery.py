"""Mail to a new account just works."""

from __future__ import annotations

from collections.abc import Callable

from tests.integration.conftest import Mta
from tests.servers import smtp
from tests.servers.cyrus import Cyrus
from tests.servers.product import Product


def test_mail_to_a_new_user_lands_in_a_tree_that_stands(
    cyrus: Cyrus, start_mta: Callable[..., Mta]
) -> None:
    user = f"new-{start_mta.__name__.lower()}"
    with (
        Product(cyrus, accounts=[user]) as product,
        start_mta(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port)) as mta,
    ):
        product.start()
        replies = smtp.send(
            mta.host, mta.port, "ann@client.test", [f"{user}@example.org"], "Subject: hello\n\nhi\n"
        )
        assert [reply.code for reply in replies] == [250, 250]
        assert b"Subject: hello" in cyrus.wait_for_messages(user)[0]
    assert cyrus.mailboxes(f"user/{user}*") == {
        f"user/{user}",
        f"user/{user}/Sent",
        f"user/{user}/Entwürfe",
        f"user/{user}/Archive",
        f"user/{user}/Archive/2026",
    }
    assert cyrus.quota(f"user/{user}") == {"STORAGE": 2 << 20}
    assert cyrus.special_use(user) == {"INBOX/Sent": "\\Sent", "INBOX/Entwürfe": "\\Drafts"}
    assert cyrus.subscriptions(user) == {"INBOX/Sent", "INBOX/Entwürfe"}
    assert cyrus.acl(f"user/{user}/Archive/2026")["anyone"] == "lr"
