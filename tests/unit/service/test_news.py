"""What MTAs tell each other: who hears it, and what happens while it cannot be heard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autocreate.service import news as module
from autocreate.service.message import Kind, Message
from autocreate.service.news import News
from tests.servers.common import wait_until
from tests.unit.channel import Bus


class Mta:
    """One that tells and hears."""

    def __init__(self, bus: Bus, sender: str) -> None:
        self.channel = bus.channel()
        self.news = News(self.channel, sender)
        self.heard: list[Message] = []
        self.times_missed = 0

    def listen(self) -> Mta:
        self.news.listen(self.heard.append, self._miss)
        wait_until(lambda: self.state["up"], 5.0, "the channel")
        return self

    def _miss(self) -> None:
        self.times_missed += 1

    @property
    def figures(self) -> dict[str, int]:
        return {key: it for key, it in (self.news.snapshot() or {}).items() if key != "state"}

    @property
    def state(self) -> dict[str, object]:
        found: dict[str, object] = (self.news.snapshot() or {})["state"]
        return found


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def pair(bus: Bus) -> Iterator[tuple[Mta, Mta]]:
    one, two = Mta(bus, "one").listen(), Mta(bus, "two").listen()
    yield one, two
    one.news.close()
    two.news.close()


def test_what_one_tells_the_other_hears_in_order_and_itself_does_not(
    pair: tuple[Mta, Mta],
) -> None:
    one, two = pair
    one.news.tell(Kind.CREATED, "joe")
    one.news.tell(Kind.DELETED, "joe")
    one.news.tell(Kind.CLEARED)
    wait_until(lambda: len(two.heard) == 3, 5.0, "three messages")
    assert two.heard == [
        Message(Kind.CREATED, "joe", "one"),
        Message(Kind.DELETED, "joe", "one"),
        Message(Kind.CLEARED, None, "one"),
    ]
    assert not one.heard
    assert (one.figures["sent"], two.figures["received"]) == (3, 3)


def test_who_begins_to_listen_is_told_that_messages_may_have_been_missed(
    pair: tuple[Mta, Mta],
) -> None:
    assert [it.times_missed for it in pair] == [1, 1]


def test_after_an_outage_messages_are_heard_again_and_those_that_were_missed_are_made_up_for(
    bus: Bus, pair: tuple[Mta, Mta], caplog: pytest.LogCaptureFixture
) -> None:
    one, two = pair
    bus.leave()
    wait_until(lambda: two.state["up"] is False, 5.0, "the outage")
    assert two.state["error"] == "the database is away"
    assert "caches keep their time limits: the database is away" in caplog.text
    one.news.tell(Kind.CREATED, "joe")
    bus.come_back()
    wait_until(lambda: two.times_missed == 2, 10.0, "the end of the outage")
    wait_until(lambda: one.figures["sent"] == 1, 10.0, "the message")
    assert two.state["up"]


def test_what_is_no_message_is_counted_and_dropped(
    pair: tuple[Mta, Mta], caplog: pytest.LogCaptureFixture
) -> None:
    one, two = pair
    for text in ("rubbish", '{"what": "created", "user": "a\\nb", "from": "x"}'):
        two.channel.texts.put(text)
    one.news.tell(Kind.CREATED, "joe")
    wait_until(lambda: two.heard, 5.0, "a message")
    assert two.figures["malformed"] == 2
    assert caplog.text.count("a message of another MTA was dropped") == 1


def test_a_defect_at_one_message_does_not_end_hearing(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = Mta(bus, "one").listen(), Mta(bus, "two")
    heard: list[Message] = []

    def stumble(message: Message) -> None:
        heard.append(message)
        raise ZeroDivisionError

    two.news.listen(stumble, lambda: None)
    wait_until(lambda: two.state["up"], 5.0, "the channel")
    one.news.tell(Kind.CREATED, "joe")
    one.news.tell(Kind.CREATED, "ann")
    wait_until(lambda: len(heard) == 2, 5.0, "both messages")
    assert "a defect of this program, at a message" in caplog.text
    one.news.close()
    two.news.close()


def test_what_cannot_be_sent_waits_and_not_without_a_limit(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    bus.is_away = True
    one = Mta(bus, "one")
    for number in range(5):
        one.news.tell(Kind.CREATED, f"user{number}")
    assert one.figures["dropped"] == 2
    bus.come_back()
    wait_until(lambda: one.figures["sent"] == 3, 10.0, "the messages")
    one.news.close()


def test_the_last_messages_are_sent_at_the_end(bus: Bus) -> None:
    two = Mta(bus, "two").listen()
    command = Mta(bus, "command")
    command.news.tell(Kind.CREATED, "joe")
    command.news.close()
    wait_until(lambda: two.heard, 5.0, "the message")
    two.news.close()
    assert not command.channel.is_open


def test_without_a_channel_nothing_is_told_and_no_thread_begins() -> None:
    news = News(None)
    news.listen(lambda _message: None, lambda: None)
    news.tell(Kind.CREATED, "joe")
    assert news.snapshot() is None
    news.close()
