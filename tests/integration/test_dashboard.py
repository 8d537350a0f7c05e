"""Grafana's dashboard and the alerts: each query has the figures of a real milter, by way of a real Prometheus."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from functools import partial
from importlib.resources import files
from pathlib import Path

import pytest
from tests.integration.farm import sections
from tests.integration.load import load
from tests.integration.murder import settings
from tests.integration.test_metrics import ask
from tests.integration.test_watch import Watch
from tests.servers.common import HOST, free_port, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.milterclient import MilterClient
from tests.servers.murder import Murder
from tests.servers.postgres import Postgres
from tests.servers.product import Product
from tests.servers.prometheus import Prometheus

from autocreate.report.gather import OUTCOMES

HOOKED = {"name": "everyone", "on_created": ["/bin/true"]}
CONTRIB = Path(__file__).parents[2] / "contrib"
FOLDER = CONTRIB / "grafana"
ALERTS = CONTRIB / "prometheus/alerts.yml"
DASHBOARD = json.loads((FOLDER / "autocreate.json").read_text())
EXPRESSIONS = {
    f"{panel['title']} ({target['refId']})": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}


# Of each kind of name, so many.
NAMES = 1000


def send(socket: str, number: int) -> str:
    """Names recipients of every kind; what the milter replies."""
    recipients = (
        f"sales{number % NAMES}@example.org",
        f"nobody{number}@example.org",
        "away@example.org",
        f"joe@far{number}.test",
    )
    with MilterClient(socket) as client:
        client.connect()
        client.envfrom("<ann@client.test>")
        replies = [client.envrcpt(f"<{it}>", {"{rcpt_mailer}": "lmtp"}) for it in recipients]
    return " ".join(str(it.code) for it in replies)


@pytest.fixture(scope="module")
def watched(cyrus: Cyrus) -> Iterator[Prometheus]:
    """A Prometheus that watches a milter with mail of every kind, a watch of new accounts, and a milter of a Murder."""
    port, other_port, murder_port = free_port(), free_port(), free_port()
    users = [f"dash{number}" for number in range(NAMES)]
    other = {"metrics": {"listen": f"{HOST}:{other_port}"}}
    with (
        Product(cyrus, accounts=users, policies=[HOOKED]) as product,
        Watch(cyrus, settings=other) as watch,
        Murder() as murder,
        Postgres() as database,
        Product(murder.frontends[0], accounts=["far"]) as far,
    ):
        journal, _accounts = sections(database)  # as MTAs share it
        far.configure(
            {
                **settings(murder),
                "journal": journal,
                "metrics": {"listen": f"{HOST}:{murder_port}"},
            }
        )
        far.start()
        assert ask(far, "far@example.org") == [0]  # the master is asked for it
        aliases, domains = product.folder / "aliases", product.folder / "domains"
        aliases.write_text(
            "".join(f"sales{number}: dash{number}\n" for number in range(NAMES))
            + "away: :include:/nowhere/members\n"
        )
        domains.write_text("example.org\n")
        for file in (aliases, domains):
            os.utime(file, (1, 1))  # what was written just now is not certain
        product.configure(
            {
                "metrics": {"listen": f"{HOST}:{port}"},
                "milter": {"domains": [], "alias_seconds": 0.1},
                "aliases": {"local": {"type": "aliases", "path": str(aliases)}},
                "domains": {"list": {"type": "file", "path": str(domains)}},
                "lmtp": {"address": f"{cyrus.host}:{cyrus.lmtp_port}", "cache_seconds": 0.1},
                "limits": {"creations_per_minute": NAMES},
            }
        )
        product.start()
        watch.start()
        session = partial(send, product.socket)
        targets = [f"{HOST}:{it}" for it in (port, other_port, murder_port)]
        with Prometheus(*targets) as server, load(session, threads=1) as replies:
            # A scrape brings all metrics of a process at once; these exist from the first recipient or round on.
            for metric in (
                "autocreate_recipients_total",
                "autocreate_watch_source_up",
                "autocreate_murder_up",
                "autocreate_messages_up",
            ):
                wait_until(partial(server.query, metric), 30.0, metric, server.log)
            yield server
    assert set(replies) == {"0 550 451 0"}


@pytest.mark.parametrize("panel", EXPRESSIONS)
def test_a_panel_shows_figures(panel: str, watched: Prometheus) -> None:
    expression = EXPRESSIONS[panel].replace("$instance", ".*").replace("$__rate_interval", "20s")
    assert "$" not in expression

    def figures() -> list[float]:
        values = [float(it["value"][1]) for it in watched.query(expression)]
        return [it for it in values if not math.isnan(it)]

    wait_until(figures, 40.0, expression)


def test_every_metric_of_ours_is_in_the_documentation(watched: Prometheus) -> None:
    text = (CONTRIB.parent / "docs/monitoring.md").read_text()
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


def test_every_alert_asks_for_metrics_and_labels_that_are_there(watched: Prometheus) -> None:
    selectors = set(re.findall(r"\b(?:autocreate_\w+|up)\b(?:\{[^}]*\})?", ALERTS.read_text()))
    assert len(selectors) > 15
    for selector in selectors:
        assert watched.query(selector), selector
    labels = {
        name
        for names in re.findall(r"by \(([^)]+)\)", ALERTS.read_text())
        for name in names.split(", ")
    } | set(re.findall(r"\$labels\.(\w+)", ALERTS.read_text()))
    seen = {label for it in watched.query('{job="autocreate"}') for label in it["metric"]}
    assert labels <= seen


def test_a_verdict_has_the_colour_of_the_report() -> None:
    css = files("autocreate.report").joinpath("report.css").read_text(encoding="utf-8")
    report = {it: re.findall(rf"--{it}: (#\w{{6}});", css) for it in OUTCOMES}
    assert all(len(colours) == 1 for colours in report.values())  # in light and in dark
    for panel in DASHBOARD["panels"]:
        for override in panel["fieldConfig"]["overrides"]:
            (colour,) = (it["value"]["fixedColor"] for it in override["properties"])
            assert [colour] == report[override["matcher"]["options"]], panel["title"]
    coloured = {
        override["matcher"]["options"]
        for panel in DASHBOARD["panels"]
        for override in panel["fieldConfig"]["overrides"]
    }
    assert coloured == set(OUTCOMES)


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
