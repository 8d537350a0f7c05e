"""The metrics of a farm: turns at users, and messages of other MTAs."""

from __future__ import annotations

from pathlib import Path

from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.metrics import _ServiceCollector
from autocreate.model import Answer
from autocreate.service.message import Kind
from autocreate.service.news import News
from autocreate.service.turns import Turns
from tests.servers.common import wait_until
from tests.unit.channel import Bus
from tests.unit.house import House
from tests.unit.locks import FakeServer, FakeSession


def samples(house: House) -> dict[str, float]:
    """The values of the metrics of a farm; labels come after the name."""
    collector = _ServiceCollector(ServiceGate(house.service))
    return {
        "".join([it.name, *it.labels.values()]): it.value
        for family in collector.collect()
        for it in family.samples
        if it.name.startswith(("autocreate_turns", "autocreate_messages"))
    }


def test_without_a_database_server_there_are_none(tmp_path: Path) -> None:
    assert samples(House(tmp_path)) == {}


def test_turns_and_messages_are_counted_and_an_outage_shows(tmp_path: Path) -> None:
    bus = Bus()
    house = House(tmp_path, accounts={"joe": ()})
    house.journal.news = News(bus.channel(), "this")
    house.service._provisioner.turns = Turns(FakeSession(FakeServer()))
    assert samples(house)["autocreate_messages_up"] == 0
    house.service.follow_news()
    wait_until(lambda: samples(house)["autocreate_messages_up"] == 1, 5.0, "the channel")
    assert house.answer("joe@example.org") is Answer.ACCEPT
    house.journal.news.tell(Kind.CREATED, "joe")
    wait_until(lambda: samples(house)["autocreate_messages_sent_total"] == 1, 5.0, "a message")
    found = samples(house)
    assert found["autocreate_turns_taken_total"] == 1
    assert found["autocreate_turns_waited_total"] == 0
    assert found["autocreate_turns_without_lock_totalslow"] == 0
    bus.leave()
    wait_until(lambda: samples(house)["autocreate_messages_up"] == 0, 5.0, "the outage")
    house.service.close()
