"""An id that Cyrus gives to two mailboxes is noticed: they would share their files."""

from __future__ import annotations

import logging

import pytest

from autocreate.errors import Refused, Temporary
from autocreate.mailstore.mailbox_ids import SiteIds, is_of_libuuid


def test_ids_that_differ_are_fine() -> None:
    ids = SiteIds().at("b1")
    ids.given("a1", "user/ann", "ann")
    ids.given("b2", "user/bob", "bob")
    ids.given("b2", "user/bob", "bob")  # told twice
    for user in ("ann", "bob"):
        ids.require_own(user)


def test_a_server_that_tells_no_ids_is_believed() -> None:
    ids = SiteIds().at("b1")
    ids.given("", "user/ann", "ann")
    ids.given("", "user/bob", "bob")


def test_an_id_of_two_mailboxes_is_an_error_that_names_both(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ids = SiteIds().at("b1")
    ids.given("a1", "user/ann", "ann")
    with pytest.raises(
        Refused,
        match=r"at b1 gave the id a1 to user/ann and to user/bob: .* see docs/mailbox-ids\.md",
    ):
        ids.given("a1", "user/bob", "bob")
    assert [it.levelno for it in caplog.records] == [logging.CRITICAL]


def test_mail_for_both_users_is_deferred_from_then_on() -> None:
    ids = SiteIds().at("b1")
    ids.given("a1", "user/ann/Sent", "ann")
    with pytest.raises(Refused):
        ids.given("a1", "user/bob", "bob")
    for user in ("ann", "bob"):
        with pytest.raises(Temporary, match="share their files"):
            ids.require_own(user)
    ids.require_own("eve")


def test_the_service_is_told_of_both_users_so_that_it_remembers_neither_as_ready() -> None:
    doubted: list[str] = []
    ids = SiteIds(doubted.append).at("b1")
    ids.given("a1", "user/ann", "ann")
    assert doubted == []
    with pytest.raises(Refused):
        ids.given("a1", "user/bob", "bob")
    assert doubted == ["ann", "bob"]


def test_an_id_of_two_servers_is_an_error_that_says_who_cannot_be_moved(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Their files are apart, and their mail comes in."""
    doubted: list[str] = []
    site = SiteIds(doubted.append)
    site.at("b1").given("a1", "user/ann", "ann")
    site.at("b2").given("a1", "user/bob", "bob")
    site.at("b2").given("a1", "user/bob", "bob")  # told twice
    (told,) = caplog.messages
    assert "user/ann at b1 and to user/bob at b2: neither ann nor bob can be moved" in told
    assert doubted == []
    for user in ("ann", "bob"):
        site.at("b1").require_own(user)


def test_ids_of_debians_cyrus_are_told_from_those_of_libuuid() -> None:
    assert not is_of_libuuid("8ayna2cuycn87k2f0ijkh1sr")
    assert is_of_libuuid("0d4c5cc3-a8d0-4ba5-bd2c-b5d4a9a0d9b5")
    assert is_of_libuuid("MoJuXEYzQNmJ0O0Kxmnzhg")
