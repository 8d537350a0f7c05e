"""The alerts of contrib/prometheus: by promtool's tests of them, and while servers of a real milter end."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.integration.test_metrics import ask
from tests.servers.common import HOST, HUNG, free_port, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.product import Product
from tests.servers.prometheus import PROMTOOL, Prometheus

FOLDER = Path(__file__).parents[2] / "contrib/prometheus"


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROMTOOL, *arguments],
        capture_output=True,
        text=True,
        cwd=FOLDER,
        timeout=HUNG,
        check=False,
    )


def test_the_rules_are_valid_and_do_what_their_tests_say() -> None:
    for arguments in (("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")):
        done = promtool(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "alert",
    [it.split()[-1] for it in (FOLDER / "alerts.yml").read_text().splitlines() if "alert:" in it],
)
def test_every_alert_is_tested_and_says_what_to_do(alert: str, tmp_path: Path) -> None:
    text = (FOLDER / "alerts.yml").read_text()
    rule = " ".join(text.split(f"alert: {alert}\n")[1].split("- alert:")[0].split())
    assert any(it in rule for it in ('"autocreate ', '"systemctl ', "Look at ", "The log "))
    # Without the alert its tests fail.
    (tmp_path / "alerts.yml").write_text(text.replace(f"alert: {alert}\n", "alert: Other\n"))
    tests = tmp_path / "alerts_test.yml"
    tests.write_text((FOLDER / "alerts_test.yml").read_text())
    assert promtool("test", "rules", tests).returncode != 0


def alerts(server: Prometheus) -> set[str]:
    return {it["metric"]["alertname"] for it in server.query("ALERTS")}


def test_what_ends_is_alerted_and_what_is_back_is_not() -> None:
    port = free_port()
    settings = {"metrics": {"listen": f"{HOST}:{port}"}}
    with (
        Cyrus() as cyrus,
        Product(cyrus, accounts=["al", "bo", "cy"], settings=settings) as product,
    ):
        product.start()
        with Prometheus(f"{HOST}:{port}", rules=FOLDER / "alerts.yml") as server:
            assert ask(product, "al@example.org") == [0]
            wait_until(
                lambda: server.query("autocreate_cyrus_up == 1"), 30.0, "a scrape", server.log
            )
            assert alerts(server) == set()

            cyrus.stop()
            assert ask(product, "bo@example.org") == [451]
            wait_until(
                lambda: (
                    alerts(server)
                    == {"AutocreateCyrusDown", "AutocreateDefers", "AutocreateDefersMany"}
                ),
                30.0,
                "the alerts",
                lambda: str(alerts(server)),
            )
            cyrus.start()
            wait_until(
                lambda: ask(product, "bo@example.org") == [0], 30.0, "the mailbox", product.log
            )
            wait_until(lambda: "AutocreateCyrusDown" not in alerts(server), 30.0, "its end")

            product.stop()
            wait_until(lambda: "AutocreateDown" in alerts(server), 30.0, "the milter's alert")
