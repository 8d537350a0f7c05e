"""What every channel for messages promises."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from autocreate.backends.postgres_channel import LONGEST
from autocreate.service.journal import Journal
from autocreate.service.news import Channel

from .channels import KINDS, Make, channel_maker, received


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    with channel_maker(request.param) as made:
        yield made


@pytest.fixture
def pair(make: Make) -> tuple[Channel, Channel]:
    """Two that are open."""
    one, two = make(), make()
    one.open()
    two.open()
    return one, two


def test_messages_come_to_everybody_in_order_as_they_were_sent(
    pair: tuple[Channel, Channel],
) -> None:
    one, two = pair
    texts = ["one", "zwölf \U0001f4eb", '{"a": "\\u0000"}', "x" * LONGEST, "'; --", "%s"]
    one.send(texts)
    assert received(two, len(texts)) == texts
    assert received(one, len(texts)) == texts


def test_what_comes_meanwhile_is_not_lost(pair: tuple[Channel, Channel]) -> None:
    one, two = pair
    one.send(["first"])
    for _ in range(20):
        two.check()
    assert received(two, 1) == ["first"]


def test_receiving_waits_no_longer_than_it_may_and_can_be_woken(
    pair: tuple[Channel, Channel],
) -> None:
    one, _ = pair
    begun = time.monotonic()
    assert one.receive(0.2) == []
    assert time.monotonic() - begun < 20.0
    one.wake()
    assert one.receive(60.0) == []
    assert time.monotonic() - begun < 50.0  # of 60


def test_nothing_comes_to_who_has_left_and_what_is_sent_after_the_return_does(
    pair: tuple[Channel, Channel],
) -> None:
    one, two = pair
    two.close()
    one.send(["missed"])
    two.open()
    one.send(["heard"])
    assert received(two, 1) == ["heard"]


def test_a_journal_in_a_file_has_a_channel_only_where_processes_share_it(tmp_path: object) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    for is_shared in (False, True):
        with contextlib.closing(Journal(url, time.time, is_shared=is_shared)) as journal:
            assert (journal.news.snapshot() is not None) is is_shared
            assert (journal.locks is not None) is is_shared
