"""What Prometheus sees of the real milter while mail flows."""

from __future__ import annotations

import os
import socket
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.conftest import Way
from tests.integration.load import load
from tests.servers.common import HOST, free_port
from tests.servers.cyrus import Cyrus
from tests.servers.milterclient import MilterClient
from tests.servers.product import Product


class Scraper:
    """Asks for the figures as Prometheus does."""

    def __init__(self, port: int) -> None:
        self.url = f"http://{HOST}:{port}/metrics"

    def __call__(self) -> dict[str, float]:
        """Every sample by its name and labels, the labels by their names,
        as in `autocreate_recipients_total accept milter`."""
        with urllib.request.urlopen(self.url, timeout=20) as response:
            text = response.read().decode()
        samples = [it for family in text_string_to_metric_families(text) for it in family.samples]
        return {
            " ".join([it.name, *dict(sorted(it.labels.items())).values()]): it.value
            for it in samples
        }


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def scrape(port: int) -> Scraper:
    return Scraper(port)


@pytest.fixture
def product(cyrus: Cyrus, port: int) -> Iterator[Product]:
    settings = {"metrics": {"listen": f":{port}"}, "log": {"level": "info"}}
    with Product(cyrus, settings=settings) as made:
        yield made


def ask(product: Product, *recipients: str) -> list[int]:
    """The codes of the milter's replies about recipients, one connection for all."""
    with MilterClient(product.socket) as client:
        client.connect()
        client.envfrom("<ann@client.test>")
        macros = {"{rcpt_mailer}": "lmtp"}
        return [client.envrcpt(f"<{it}>", macros).code for it in recipients]


def test_everything_that_happens_is_told(product: Product, scrape: Scraper) -> None:
    product.add_account("metric-one")
    product.start()
    known, unknown = "metric-one@example.org", "metric-nobody@example.org"
    assert ask(product, known, known, unknown, "x@other.test") == [0, 0, 550, 0]
    seen = scrape()
    assert seen["autocreate_recipients_total accept milter"] == 2
    assert seen["autocreate_recipients_total unknown milter"] == 1
    assert seen["autocreate_recipients_total pass milter"] == 1
    assert seen["autocreate_verdict_seconds_count milter created"] == 1
    assert seen["autocreate_verdict_seconds_count milter accept"] == 1
    assert seen["autocreate_verdict_seconds_bucket milter +Inf created"] == 1
    assert 0 < seen["autocreate_verdict_seconds_sum milter created"] < 60
    assert seen["autocreate_mailboxes_created_total everyone"] == 1
    assert seen["autocreate_unfinished_trees"] == 0
    assert seen["autocreate_journal_up"] == 1
    assert seen["autocreate_account_lookups_total staff"] == 2
    assert seen["autocreate_account_errors_total staff"] == 0
    assert seen["autocreate_cyrus_connections idle"] == 1
    assert seen["autocreate_cyrus_connections busy"] == 0
    assert seen["autocreate_cyrus_connections_limit"] == 4
    assert seen["autocreate_cache_entries ready users"] == 1
    assert seen["autocreate_cache_limit ready"] == 100_000
    assert seen["process_open_fds"] > 3


def test_nothing_listens_unless_it_is_told_to(cyrus: Cyrus) -> None:
    with Product(cyrus) as product:
        product.start()
        table = "\n".join(Path(f"/proc/{product.pid}/net/tcp").read_text().splitlines()[1:])
        inodes = {os.readlink(it) for it in Path(f"/proc/{product.pid}/fd").iterdir()}
        listening = [line.split() for line in table.splitlines() if line.split()[3] == "0A"]
        assert not {f"socket:[{fields[9]}]" for fields in listening} & inodes


def test_figures_can_be_read_while_mail_flows_and_count_every_recipient(
    cyrus: Cyrus,
    port: int,
    scrape: Scraper,
    way: Callable[[Product], Way],
    named: Callable[[str], str],
) -> None:
    settings = {"metrics": {"listen": f":{port}"}}
    served = way(Product(cyrus, accounts=[user := named("metric-flow")], settings=settings))
    counts: list[float] = []
    with load(lambda _: str(served.codes(user)[0]), threads=4) as replies:
        while len(counts) < 5:
            counts.append(scrape().get("autocreate_recipients_total accept milter", 0.0))
    assert set(replies) == {"250"}
    assert counts == sorted(counts)
    seen = scrape()
    assert seen["autocreate_recipients_total accept milter"] == replies["250"]
    assert seen["autocreate_mailboxes_created_total everyone"] == 1


def test_a_reload_neither_loses_nor_doubles_anything(product: Product, scrape: Scraper) -> None:
    product.add_account("metric-reload")
    product.start()
    ask(product, "metric-reload@example.org", "metric-nobody@example.org")
    before = scrape()
    assert product.reload() == "INFO reloaded"
    after = scrape()
    for name in before:
        if name.startswith("autocreate_") and name.rpartition(" ")[0].endswith(
            ("_total", "_count")
        ):
            assert after[name] == before[name], name
    ask(product, "metric-reload@example.org")
    seen = scrape()
    assert seen["autocreate_recipients_total accept milter"] == 2
    assert seen["autocreate_mailboxes_created_total everyone"] == 1
    lookups = "autocreate_account_lookups_total staff"
    assert seen[lookups] == before[lookups] + 1


def test_a_journal_that_is_away_is_told_and_takes_no_other_figure_along(
    product: Product, scrape: Scraper
) -> None:
    product.start()
    assert ask(product, "metric-nobody@example.org") == [550]
    product.journal.unlink()
    product.journal.mkdir()
    seen = scrape()
    assert seen["autocreate_journal_up"] == 0
    assert "autocreate_unfinished_trees" not in seen
    assert seen["autocreate_recipients_total unknown milter"] == 1


def test_the_milter_ends_while_somebody_is_connected_to_the_metrics(
    product: Product, port: int
) -> None:
    product.start()
    with socket.create_connection((HOST, port)):
        assert product.stop() == 0
