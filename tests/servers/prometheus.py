"""A Prometheus that watches processes and knows alerts. script/lib/install.sh unpacks it into .cache/."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .common import HOST, free_port
from .program import Program

ROOT = Path(__file__).parents[2]
BINARY = ROOT / ".cache/prometheus/usr/bin/prometheus"
PROMTOOL = BINARY.with_name("promtool")


class Prometheus(Program):
    """Asks each target, HOST:PORT, every second, as the job "autocreate".

    Alerts by the file `rules` are pending as soon as there is a cause.
    """

    name = "prometheus"

    def __init__(self, *targets: str, rules: Path | None = None) -> None:
        super().__init__()
        self._targets = targets
        self._rules = rules
        self._port = free_port()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now; AssertionError if it is none."""
        words = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"{self._url}/api/v1/query?{words}", timeout=20) as answer:
                result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
                return result
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expression}: {error.read().decode()}") from error

    @property
    def _url(self) -> str:
        return f"http://{HOST}:{self._port}"

    def _lay_out(self) -> None:
        configuration = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(self._rules)] if self._rules else [],
            "scrape_configs": [
                {"job_name": "autocreate", "static_configs": [{"targets": [*self._targets]}]}
            ],
        }
        # JSON is YAML, too.
        (self.folder / "prometheus.yml").write_text(json.dumps(configuration))

    def _command(self) -> Sequence[str | Path]:
        return [
            BINARY,
            f"--config.file={self.folder}/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address={HOST}:{self._port}",
        ]

    def _is_up(self) -> bool:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{self._url}/-/ready", timeout=5),
        ):
            return True
        return False
