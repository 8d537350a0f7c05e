"""Resident size: when it begins to serve, with 1,000 idle sessions, and after a great many recipients.

The recipients are all different and unknown, so that every cache of unknown names is filled many times over. Ours after
so many is set against ours after a tenth of them: where caches are bounded they are the same.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.contest import Effort, Result
from tests.bench.evidence import EVERY_LINE, UNKNOWN, evidence
from tests.bench.warm import answers, idle
from tests.servers.common import fresh_folder, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.milterclient import MilterClient
from tests.servers.product import Product

SESSIONS = 1_000
RECIPIENTS = 120_000
EARLY = 3  # a third of them fills every cache
FLAT_TARGET = 0.95
THREADS = 4


def run(effort: Effort) -> list[Result]:
    """Measures once: sizes hardly differ from run to run."""
    recipients = effort.of(RECIPIENTS)
    with contextlib.ExitStack() as running:
        folder = running.enter_context(fresh_folder("memory"))
        users = folder / "users"
        users.write_text("joe\n")
        cyrus = running.enter_context(Cyrus())
        os.utime(users, (time.time() - 60,) * 2)  # a young file's no is not final
        staff = {"type": "file", "path": str(users), "cache_negative_seconds": 600.0}
        settings = {"accounts": {"staff": staff}, "log": EVERY_LINE}
        product = running.enter_context(Product(cyrus, settings=settings))
        product.launch()
        wait_until(lambda: answers(product.socket), 30.0, "the milter", product.log)
        idle_place = f"unix:{folder}/idle.sock"
        ours, theirs = product.pid, running.enter_context(idle(idle_place))
        results = [_against("at the start", resident(ours), resident(theirs))]
        with _sessions(product.socket), _sessions(idle_place):
            what = f"{SESSIONS:,} idle sessions"
            results.append(_against(what, resident(ours), resident(theirs)))
        proof = running.enter_context(evidence(product))
        with proof.expects() as expected:
            _ask(product.socket, range(recipients // EARLY))
            early = resident(ours)
            _ask(product.socket, range(recipients // EARLY, recipients))
            late = resident(ours)
            expected[UNKNOWN] = recipients
    what = f"{recipients:,} recipients, to {recipients // EARLY:,}"
    return [*results, _against(what, late, early, FLAT_TARGET)]


def _against(what: str, ours: float, theirs: float, target: float | None = None) -> Result:
    return Result(what, "MiB", [ours], [theirs], less_is_better=True, target=target)


def resident(pid: int) -> float:
    """In MiB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


@contextlib.contextmanager
def _sessions(place: str) -> Iterator[None]:
    with contextlib.ExitStack() as open_:
        for _ in range(SESSIONS):
            client = open_.enter_context(MilterClient(place))
            client.connect()
            client.helo()
        yield


def _ask(place: str, numbers: range) -> None:
    """One recipient for each number, over a few sessions."""

    def session(start: int) -> None:
        with MilterClient(place) as client:
            client.connect()
            client.helo()
            client.envfrom("<ann@client.test>")
            for number in numbers[start::THREADS]:
                reply = client.envrcpt(f"<nobody{number}@example.org>", {"{rcpt_mailer}": "lmtp"})
                assert reply.code == 550, reply

    with ThreadPoolExecutor(THREADS) as sessions:
        list(sessions.map(session, range(THREADS)))
