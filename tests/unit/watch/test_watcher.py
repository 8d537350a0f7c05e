"""The watch in a process: rounds in their time, reports at once, reloads, and figures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.core import Metric

from autocreate.frontends.control import answered
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.metrics import _ServiceCollector
from autocreate.watch.rounds import AtMost
from autocreate.watch.watcher import Watched, Watcher
from tests.servers.common import wait_until
from tests.unit.admin.site import components
from tests.unit.house import House
from tests.unit.watch.fakes import Source, away

LONG = 3600.0
AMPLE = AtMost(100, 100)


class Reporter:
    """A source that reports what a test tells it to."""

    def __init__(self) -> None:
        self.tell: Callable[[str], None] = lambda _name: None
        self.is_followed = threading.Event()

    def follow(
        self,
        moment: int,
        ready: Callable[[], None],
        told: Callable[[str], None],
        stopping: threading.Event,
    ) -> bool:
        self.tell = told
        ready()
        self.is_followed.set()
        stopping.wait()
        return True


class Site:
    """A watch over the memory of a house."""

    def __init__(self, house: House, source: Source, at_most: AtMost = AMPLE) -> None:
        self.house = house
        self.source = source
        self.reporter = Reporter()
        self.closed: list[object] = []
        self.at_most = at_most
        self.gate = ServiceGate(house.service)
        self.watcher = Watcher(self.build, lease_seconds=1.0)

    def build(self, service: object) -> Watched:
        return Watched(
            components(self.house),
            [self.source],
            {"staff": self.reporter},
            LONG,
            LONG,
            self.at_most,
            lambda: self.closed.append(service),
        )

    @property
    def figures(self) -> dict[str, Any]:
        return dict(self.gate.figures()["watch"])

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        wait_until(lambda: bool(condition()), 10.0, what, lambda: str(self.figures))


@contextmanager
def watching(site: Site) -> Iterator[Site]:
    site.watcher.serve(site.gate, lambda _error: None)
    try:
        yield site
    finally:
        site.watcher.stop()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    source = Source()
    source.found = lambda: ["joe"]
    return Site(House(tmp_path, accounts={"joe": (), "kim": ()}), source)


def test_the_first_round_comes_as_soon_as_the_lease_is_there(site: Site) -> None:
    with watching(site):
        site.wait_for(lambda: "joe" in site.house.store.trees, "joe's tree")
        site.wait_for(lambda: site.figures["rounds"], "a round")
        figures = site.figures
        assert (figures["leads"], figures["created"], figures["stopped"]) == (True, 1, None)
        assert figures["sources"]["staff"]["error"] == ""


def test_a_report_is_dealt_with_at_once_and_asks_no_source(site: Site) -> None:
    with watching(site):
        site.wait_for(lambda: site.figures["rounds"], "a round")
        assert site.reporter.is_followed.wait(10.0)
        asked = len(site.source.asked)
        site.reporter.tell("kim")
        site.wait_for(lambda: "kim" in site.house.store.trees, "kim's tree")
        assert len(site.source.asked) == asked


def test_only_one_of_two_watches(site: Site, tmp_path: Path) -> None:
    with watching(site):
        site.wait_for(lambda: site.figures["rounds"], "a round")
        other = Site(House(tmp_path, accounts={"kim": ()}), Source())
        with watching(other):
            assert not other.figures["leads"]
            site.watcher.stop()
            other.wait_for(lambda: other.figures["leads"], "the lease")


def test_a_reload_begins_anew_and_closes_what_was_before(site: Site) -> None:
    with watching(site):
        site.wait_for(lambda: site.figures["rounds"] == 1, "a round")
        before = site.house.service
        site.house = House(Path(site.house.journal._database._engine.url.database or "").parent)
        site.gate.replace(site.house.service)
        site.wait_for(lambda: site.closed == [before], "the end of what was before")
        site.wait_for(lambda: site.figures["rounds"] == 2, "another round")


def test_a_stopped_watch_is_shown_at_the_control_socket_and_in_the_metrics(tmp_path: Path) -> None:
    source = Source()
    users = [f"u{number}" for number in range(5)]
    source.found = lambda: users
    site = Site(House(tmp_path, accounts=dict.fromkeys(users, ())), source, AtMost(3, 100))
    with watching(site):
        site.wait_for(lambda: site.figures["stopped"], "the stop")
        shown = answered(b'{"ask": "figures"}', site.gate)["answer"]["watch"]
        assert shown["stopped"]["new"] == 4  # planning ends where it is clear
        metrics = _metrics(site.gate)
        assert metrics["autocreate_watch_stopped"] == 1
        assert metrics["autocreate_watch_leads"] == 1
        assert site.house.store.trees == {}


def test_a_source_that_does_not_answer_is_shown(site: Site) -> None:
    site.source.found = away
    with watching(site):
        site.wait_for(lambda: site.figures["sources"], "the source")
        assert site.figures["sources"]["staff"]["error"] == "the database is away"
        assert _metrics(site.gate)["autocreate_watch_source_up"] == 0


def test_a_defect_ends_no_watch(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    def defective() -> list[str]:
        raise AssertionError("a defect")

    site.source.found = defective
    with watching(site):
        site.wait_for(lambda: "watch: a defect of this program" in caplog.text, "the log")
        assert site.reporter.is_followed.wait(10.0)
        site.reporter.tell("kim")
        site.wait_for(lambda: "kim" in site.house.store.trees, "kim's tree")


def _metrics(gate: ServiceGate) -> dict[str, float]:
    found: list[Metric] = list(_ServiceCollector(gate).collect())
    return {sample.name: sample.value for metric in found for sample in metric.samples}
