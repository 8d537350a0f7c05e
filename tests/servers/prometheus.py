"""A Prometheus that watches one process and answers queries. script/lib/install.sh unpacks it into .cache/."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .common import HOST, START_TIMEOUT, end, free_port, fresh_folder, start, wait_until

ROOT = Path(__file__).parents[2]
BINARY = ROOT / ".cache/prometheus/usr/bin/prometheus"


class Prometheus:
    def __init__(self, port: int) -> None:
        self._url = f"http://{HOST}:{port}"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now; AssertionError if it is none."""
        words = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"{self._url}/api/v1/query?{words}", timeout=20) as answer:
                result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
                return result
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expression}: {error.read().decode()}") from error

    def is_ready(self) -> bool:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{self._url}/-/ready", timeout=5),
        ):
            return True
        return False


@contextlib.contextmanager
def prometheus(target: str) -> Iterator[Prometheus]:
    """One that asks `target`, HOST:PORT, every second, as the job "autocreate"."""
    with fresh_folder("prometheus") as folder:
        config = folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s}\n"
            f"scrape_configs: [{{job_name: autocreate, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        port = free_port()
        command: list[str | Path] = [
            BINARY,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={HOST}:{port}",
        ]
        log = folder / "log"
        with log.open("wb") as output:
            process = start(command, output)
        try:
            server = Prometheus(port)
            wait_until(server.is_ready, START_TIMEOUT, "Prometheus", log.read_text)
            yield server
        finally:
            end(process)
