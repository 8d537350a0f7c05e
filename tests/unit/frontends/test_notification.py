"""What Cyrus tells, in the datagrams that Cyrus 3.6 was seen to send."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate.errors import MalformedNotification
from autocreate.frontends.notification import Event, parse
from autocreate.model import Login

HEAD = b"external\0EVENT\0\0\0\0" + b"0\0"


def event(**facts: Any) -> bytes:
    return HEAD + json.dumps(facts).encode() + b"\0"


def test_a_login_names_the_user_who_was_authorized() -> None:
    datagram = event(event="Login", user="zed", serverPort=143, uri="imap://cyrus.test")
    assert parse(datagram) == Event(login=Login("zed", "imap"))


@pytest.mark.parametrize(("port", "service"), [(993, "imap"), (110, "pop3"), (995, "pop3")])
def test_the_service_is_known_by_its_port(port: int, service: str) -> None:
    assert parse(event(event="Login", user="zed", serverPort=port)).login == Login("zed", service)


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("user/zoe", "zoe"),
        ("user/zoe/sub%20x", "zoe"),
        ("user/ann.lee%40other.test", "ann.lee@other.test"),
        ("user/ann.lee/x%40other.test", "ann.lee@other.test"),
        ("user.ann%5Elee.x%40other.test", "ann.lee@other.test"),
    ],
)
def test_a_deleted_mailbox_leaves_its_owner_bereft(path: str, owner: str) -> None:
    uri = f"imap://cyrus.test/{path};UIDVALIDITY=1795556294"
    assert parse(event(event="MailboxDelete", uri=uri)) == Event(owners_of_removed=(owner,))


def test_a_renamed_mailbox_leaves_the_owner_of_its_old_name_bereft() -> None:
    datagram = event(
        event="MailboxRename",
        oldMailboxID="imap://cyrus.test/user/zoe;UIDVALIDITY=1",
        uri="imap://cyrus.test/user/zara;UIDVALIDITY=1",
    )
    assert parse(datagram) == Event(owners_of_removed=("zoe",))


@pytest.mark.parametrize(
    "datagram",
    [
        event(event="MailboxDelete", uri="imap://cyrus.test/Announcements;UIDVALIDITY=1"),
        event(event="MailboxCreate", uri="imap://cyrus.test/user/zoe;UIDVALIDITY=1"),
        event(event="Logout", user="zed"),
        event(event="ApplePushService"),
        b"log\0MAIL\0\0zed\0INBOX\0" + b"0\0You have new mail\0",
        b"log\0SIEVE\0\0zed\0INBOX\0" + b"2\0one\0two\0Vacation\0file\0",
    ],
)
def test_what_is_somebody_elses_business_means_nothing(datagram: bytes) -> None:
    assert parse(datagram) == Event()


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"external\0EVENT\0",
        b"external\0EVENT\0\0\0\0many\0{}\0",
        b"external\0EVENT\0\0\0\0" + b"7\0{}\0",
        HEAD + b"not JSON\0",
        HEAD + b"[1]\0",
        event(event="Login"),
        event(event="Login", user=7),
        event(event="Login", user="a\nb"),
        event(event="MailboxDelete"),
        event(event="MailboxDelete", uri="imap://[cyrus.test/user/zoe"),
    ],
)
def test_what_is_no_notification_is_dropped(datagram: bytes) -> None:
    with pytest.raises(MalformedNotification):
        parse(datagram)


@given(st.binary(), st.binary())
def test_bytes_of_any_kind_are_an_event_or_malformed(head: bytes, tail: bytes) -> None:
    for datagram in (head, HEAD + tail):
        with contextlib.suppress(MalformedNotification):
            parse(datagram)
