"""A welcome message in every mail store, and both of its ways into a real Cyrus."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from autocreate.errors import Refused, ServerTimeout, Temporary
from autocreate.lmtp.client import Lmtpd
from autocreate.mailstore import Delivery
from autocreate.mailstore.cyrus import Cyrus as CyrusStore
from autocreate.mailstore.server import Server
from autocreate.tree.actions import CreateMailbox, DeliverWelcome, SetQuota, Subscribe
from autocreate.tree.plan import Plan
from autocreate.tree.values import Quota, Welcome
from tests.servers.common import wait_until
from tests.servers.cyrus import Cyrus

from .stores import Place

MESSAGE = (
    b"From: postmaster@ex.test\r\nSubject: Welcome\r\nTo: you@ex.test\r\n\r\n.\r\n..\r\nHello\r\n"
)
WELCOME = DeliverWelcome(Welcome(MESSAGE, "/etc/autocreate/welcome.eml"))


def test_a_new_mailbox_gets_it_and_another_attempt_brings_no_second(place: Place) -> None:
    user = place.new_user("welcome")
    new = (CreateMailbox(()), SetQuota(Quota(storage=1000)), WELCOME, Subscribe(()))
    assert place.apply(user, *new).failed == ()
    assert place.welcomes(user) == 1
    # The journal's retry, after whatever became of the first attempt.
    assert place.apply(user, WELCOME).failed == ()
    assert place.welcomes(user) == 1


def test_a_mailbox_that_was_deleted_and_created_again_gets_its_own(cyrus: Cyrus) -> None:
    for way in (None, Lmtpd(f"inet:{cyrus.host}:{cyrus.lmtp_port}", 1, 20.0)):
        user = f"again{way is None}".lower()
        with store_of(cyrus, way) as store:
            assert store.apply(plan(user, CreateMailbox(()), WELCOME)).failed == ()
            assert len(cyrus.messages(user)) == 1
            cyrus.delete(f"user/{user}")
            assert store.apply(plan(user, CreateMailbox(()), WELCOME)).failed == ()
            assert len(cyrus.messages(user)) == 1


@contextlib.contextmanager
def store_of(cyrus: Cyrus, delivery: Delivery | None = None) -> Iterator[CyrusStore]:
    server = Server(
        cyrus.host, cyrus.imap_port, "none", cyrus.admin, cyrus.admin_password, timeout=20.0
    )
    with contextlib.closing(CyrusStore(server, 2, delivery=delivery)) as store:
        yield store


def plan(user: str, *actions: CreateMailbox | DeliverWelcome | Subscribe) -> Plan:
    return Plan(user, "some policy", actions)


class Losing:
    """Delivers, and does not hear that it has."""

    def __init__(self, lmtpd: Lmtpd) -> None:
        self._lmtpd = lmtpd
        self.error: Temporary = ServerTimeout("lmtpd did not answer within 1 s")

    def deliver(self, user: str, message: bytes) -> None:
        self._lmtpd.deliver(user, message)
        raise self.error


def test_an_answer_that_was_lost_after_data_brings_no_second(cyrus: Cyrus) -> None:
    lmtpd = Lmtpd(f"inet:{cyrus.host}:{cyrus.lmtp_port}", 1, 20.0)
    with store_of(cyrus, Losing(lmtpd)) as store:
        result = store.apply(plan("lost", CreateMailbox(()), WELCOME, Subscribe(())))
        # Only the message is left for another attempt.
        assert [failure.action for failure in result.failed] == [WELCOME]
        assert result.usable
    begun = int(time.time())  # lmtpd compares the Date, too, and that has seconds
    wait_until(lambda: int(time.time()) > begun, 5.0, "another second")
    with store_of(cyrus, lmtpd) as store:
        assert store.apply(plan("lost", WELCOME)).failed == ()
        # Even where the user has moved it away, and it is not found.
        with cyrus.session("lost") as imap:
            imap.select("INBOX")
            imap.store("1", "+FLAGS", "\\Deleted")
            imap.expunge()
        assert store.apply(plan("lost", WELCOME)).failed == ()
    assert cyrus.messages("lost") == []


def test_lmtpd_gets_it_byte_for_byte(cyrus: Cyrus) -> None:
    lmtpd = Lmtpd(f"inet:{cyrus.host}:{cyrus.lmtp_port}", 1, 20.0)
    with store_of(cyrus, lmtpd) as store:
        assert store.apply(plan("bytes", CreateMailbox(()), WELCOME)).failed == ()
    (message,) = cyrus.messages("bytes")
    assert message.endswith(MESSAGE)
    assert b"Message-ID: <welcome." in message


def test_a_user_whom_lmtpd_does_not_take_is_refused_by_name(cyrus: Cyrus) -> None:
    lmtpd = Lmtpd(f"inet:{cyrus.host}:{cyrus.lmtp_port}", 1, 20.0)
    with pytest.raises(Refused, match=r"refused RCPT TO:<nobody-there>: 550"):
        lmtpd.deliver("nobody-there", MESSAGE)


def test_an_inbox_that_somebody_else_created_meanwhile_is_looked_at_later(cyrus: Cyrus) -> None:
    with store_of(cyrus) as store:
        assert store.apply(plan("meanwhile", CreateMailbox(()))).failed == ()
        result = store.apply(plan("meanwhile", CreateMailbox(()), WELCOME))
        assert [failure.action for failure in result.failed] == [WELCOME]
        assert "created by somebody else" in result.failed[0].error
        assert cyrus.messages("meanwhile") == []
        assert store.apply(plan("meanwhile", WELCOME)).failed == ()
        assert len(cyrus.messages("meanwhile")) == 1


def test_it_leaves_the_user_everything_unseen(cyrus: Cyrus) -> None:
    with store_of(cyrus) as store:
        store.apply(plan("unseen", CreateMailbox(()), WELCOME))
        store.apply(plan("unseen", WELCOME))
    with cyrus.session("unseen") as imap:
        assert imap.status("INBOX", "(MESSAGES UNSEEN)")[1] == [b"INBOX (MESSAGES 1 UNSEEN 1)"]
