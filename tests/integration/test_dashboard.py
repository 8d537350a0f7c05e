"""Grafana's dashboard: every panel of it shows the figures of a real milter, by way of a real Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.load import load
from tests.servers.common import HOST, free_port, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.milterclient import MilterClient
from tests.servers.product import Product
from tests.servers.prometheus import Prometheus

FOLDER = Path(__file__).parents[2] / "contrib/grafana"
DASHBOARD = json.loads((FOLDER / "autocreate.json").read_text())
EXPRESSIONS = {
    f"{panel['title']} ({target['refId']})": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}


@pytest.fixture(scope="module")
def watched(cyrus: Cyrus) -> Iterator[Prometheus]:
    """A Prometheus that watches a milter with mail of every kind."""
    port = free_port()
    users = [f"dash{number}" for number in range(1000)]
    with Product(cyrus, accounts=users, policies=[{"name": "everyone"}]) as product:
        aliases = product.folder / "aliases"
        aliases.write_text("".join(f"sales{number}: dash{number}\n" for number in range(1000)))
        product.configure(
            {
                "metrics": {"listen": f"{HOST}:{port}"},
                "milter": {"alias_seconds": 0.1},
                "aliases": {"local": {"type": "aliases", "path": str(aliases)}},
            }
        )
        product.start()

        def session(number: int) -> str:
            with MilterClient(product.socket) as client:
                client.connect()
                client.envfrom("<ann@client.test>")
                for user in (f"sales{number % 1000}", f"nobody{number}"):
                    client.envrcpt(f"<{user}@example.org>", {"{rcpt_mailer}": "lmtp"})
            return ""

        with Prometheus(f"{HOST}:{port}") as server, load(session, threads=1):
            # A scrape brings all metrics at once; this one exists from the first recipient on.
            wait_until(
                lambda: server.query("autocreate_recipients_total"), 30.0, "a scrape", server.log
            )
            yield server


@pytest.mark.parametrize("panel", EXPRESSIONS)
def test_a_panel_shows_figures(panel: str, watched: Prometheus) -> None:
    expression = EXPRESSIONS[panel].replace("$instance", ".*").replace("$__rate_interval", "20s")
    assert "$" not in expression
    wait_until(lambda: watched.query(expression), 40.0, expression)


def test_every_metric_of_ours_is_in_the_documentation(watched: Prometheus) -> None:
    text = (FOLDER.parents[1] / "docs/monitoring.md").read_text()
    names = {it["metric"]["__name__"] for it in watched.query('{__name__=~"autocreate_.+"}')}
    assert "autocreate_recipients_total" in names
    for name in names:
        assert f"`{re.sub('_(bucket|sum|count)$', '', name)}`" in text, name


def test_the_dashboard_asks_for_instances_that_are_there(watched: Prometheus) -> None:
    (instances,) = (
        it["definition"] for it in DASHBOARD["templating"]["list"] if it["type"] == "query"
    )
    assert instances == "label_values(autocreate_info, instance)"
    assert watched.query("autocreate_info")


def test_panels_have_numbers_of_their_own_and_lie_side_by_side() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [
        (column, row)
        for panel in panels
        for place in [panel["gridPos"]]
        for column in range(place["x"], place["x"] + place["w"])
        for row in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(column for column, _ in taken) < 24  # Grafana's grid


def test_every_panel_asks_the_prometheus_that_is_chosen() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert [it["name"] for it in DASHBOARD["templating"]["list"] if it["type"] == "datasource"] == [
        "datasource"
    ]
    for panel in DASHBOARD["panels"]:
        assert [panel["datasource"], *(it["datasource"] for it in panel["targets"])] == [chosen] * (
            1 + len(panel["targets"])
        )
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
