"""Users and the names that a MUPDATE master has for their mailboxes."""

from __future__ import annotations

import pytest

from autocreate.errors import Refused
from autocreate.murder.names import Entry, State, owner_of_stored_inbox, stored_inbox


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ("joe", "user.joe"),
        ("j.doe", "user.j^doe"),
        ("joe@other.test", "other.test!user.joe"),
        ("j.doe@other.test", "other.test!user.j^doe"),
    ],
)
def test_a_user_and_the_stored_name_of_the_inbox(user: str, name: str) -> None:
    assert stored_inbox(user) == name
    assert owner_of_stored_inbox(name) == user


@pytest.mark.parametrize(
    "name",
    [
        *("", "user", "user.", "user.joe.Sent", "other.test!user.joe.Sent", "Announcements"),
        *("DELETED.user.joe.6B0BC0C4", "userx.joe", "other.test!user", "user.anyone"),
    ],
)
def test_another_mailbox_is_nobodys_inbox(name: str) -> None:
    assert owner_of_stored_inbox(name) == ""


def test_a_user_whom_cyrus_cannot_have_is_refused() -> None:
    with pytest.raises(Refused, match="cannot be a Cyrus user"):
        stored_inbox("user.joe*")


@pytest.mark.parametrize(
    ("location", "server", "partition"),
    [("b1!default", "b1", "default"), ("b1!", "b1", ""), ("b1", "b1", "")],
)
def test_a_location_is_a_server_and_a_partition(location: str, server: str, partition: str) -> None:
    entry = Entry.at("user.joe", State.ACTIVE, location)
    assert (entry.server, entry.partition, entry.user) == (server, partition, "joe")
