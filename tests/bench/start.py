"""How long a shell waits for a command: `autocreate --help`, and `autocreate check` of a recipient who is well.

Both against `python -c pass`, the floor of whatever is written in Python. Its modules have been compiled, as those of a
program that is installed have.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.bench.contest import Effort, Result, in_turn
from tests.servers.cyrus import Cyrus
from tests.servers.product import COMMAND, Product

# 150 ms and 250 ms where `python -c pass` takes 15 ms.
HELP_TARGET = 0.10
CHECK_TARGET = 0.06
STARTS = 7  # a measurement


def run(effort: Effort) -> list[Result]:
    """Measures each start several times a round, and counts the median."""
    with Cyrus() as cyrus, Product(cyrus, accounts=["joe"]) as product:
        cyrus.create("user/joe")
        check = product.run("check", "joe@example.org")
        assert check.returncode == 0, check.stderr
        environment = {
            **{key: it for key, it in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
            "PYTHONPYCACHEPREFIX": f"{product.folder}/compiled",
            "AUTOCREATE_CONFIG": str(product.config_file),
        }
        values = in_turn(
            {
                "pass": _start(environment, sys.executable, "-c", "pass"),
                "help": _start(environment, COMMAND, "--help", says="Usage: autocreate"),
                "check": _start(
                    environment, COMMAND, "check", "joe@example.org", says=check.stdout
                ),
            },
            effort.rounds,
        )
    return [
        Result(f"autocreate {what}", "ms", values[name], values["pass"], True, target)
        for name, what, target in (
            ("help", "--help", HELP_TARGET),
            ("check", "check ADDRESS", CHECK_TARGET),
        )
    ]


def _start(
    environment: Mapping[str, str], *command: str | Path, says: str = ""
) -> Callable[[], float]:
    return lambda: statistics.median(_once(command, environment, says) for _ in range(STARTS))


def _once(command: Sequence[str | Path], environment: Mapping[str, str], says: str) -> float:
    begun = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    milliseconds = (time.perf_counter() - begun) * 1000
    assert done.stdout.startswith(says), done.stdout
    return milliseconds
