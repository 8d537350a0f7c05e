"""How a quota is set on Cyrus: with how many commands, and beside roots that are not the user's own."""

from __future__ import annotations

import pytest

from autocreate.mailstore.cyrus import Cyrus as Store
from autocreate.mailstore.server import Server
from autocreate.tree.actions import CreateMailbox, SetQuota
from autocreate.tree.plan import Plan, difference
from autocreate.tree.values import Quota
from tests.servers.cyrus import Cyrus
from tests.servers.relay import Relay

from .stores import tree


def _server(cyrus: Cyrus, port: int) -> Server:
    return Server(cyrus.host, port, "none", cyrus.admin, cyrus.admin_password, timeout=20.0)


@pytest.mark.parametrize("stood", [False, True], ids=["a new INBOX", "one that stood"])
def test_limits_are_asked_for_before_a_quota_is_set_but_not_of_a_new_inbox(
    cyrus: Cyrus, stood: bool
) -> None:
    user = f"quota{stood:d}"
    plan = Plan(user, "", (CreateMailbox(()), SetQuota(Quota(5)), CreateMailbox(("Sent",))))
    with Relay(cyrus.imap_port) as relay:
        store = Store(_server(cyrus, relay.port), 1)
        store.exists(user)
        if stood:
            cyrus.create(f"user/{user}")
        before = len(relay.written)
        assert store.apply(plan).failed == ()
        commands = [line.split()[1] for line in relay.written[before:].splitlines()]
    asked = [b"GETQUOTA"] if stood else []
    assert commands == [b"CREATE", *asked, b"SETQUOTA", b"GETQUOTAROOT", b"CREATE"]


def test_the_limits_of_a_whole_domain_are_not_taken_for_the_users_own_and_stay() -> None:
    user, wanted = "joe@other.test", tree(quota=Quota(storage=5))
    options = {"virtdomains": "userid", "defaultdomain": "ex.test"}
    with Cyrus(imapd_conf=options) as server:
        with server.admin_session() as imap:
            assert imap.setquota("@other.test", "(MESSAGE 1000)")[0] == "OK"
        server.create(f"user/{user}")
        assert server.quota(f"user/{user}") == {"MESSAGE": 1000}
        store = Store(_server(server, server.imap_port), 1)
        observed = store.observe(user, wanted)
        assert observed.quota == Quota()
        assert store.apply(difference(user, "", wanted, observed)).failed == ()
        assert server.quota(f"user/{user}") == {"STORAGE": 5}
        with server.admin_session() as imap:
            assert imap.getquota("@other.test")[1] == [b"@other.test (MESSAGE 0 1000)"]
