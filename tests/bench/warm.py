"""Recipients whose mailboxes are known to exist, by smtp-source(1) through Postfix into `discard:`.

Three ways in turn: no milter, a do-nothing pymilter with our callbacks, and ours.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tests.bench.contest import Contestant, Effort, Result, in_turn
from tests.bench.evidence import REMEMBERED, Evidence, Kind, evidence
from tests.servers import smtp
from tests.servers.common import HOST, end, free_port, fresh_folder, start, wait_until
from tests.servers.common import run as command
from tests.servers.cyrus import Cyrus
from tests.servers.milterclient import MilterClient
from tests.servers.postfix import Postfix
from tests.servers.product import Product

# The least share of the do-nothing pymilter's throughput that is good enough.
TARGET = 0.95

# What is delivered to `discard:` must be ours too, or nothing is decided about it; and mailboxes stay known for a run.
DISCARDED: Mapping[str, Any] = {"mailers": ["discard"], "cache_seconds": 600.0}

# recipients a message, sessions, messages a measurement
FOUR_SESSIONS = [(1, 4, 450), (20, 4, 180)]
CASES = [*FOUR_SESSIONS, (1, 1, 300), (1, 16, 450), (20, 1, 90), (20, 16, 180)]
USERS = ["joe", *(f"{number}joe" for number in range(1, 21))]


def run(effort: Effort) -> list[Result]:
    """Measures all cases over Unix sockets, then those of four sessions over TCP."""
    results = []
    with Cyrus() as cyrus:
        for kind, cases in (("unix", CASES), ("inet", FOUR_SESSIONS)):
            with _site(cyrus, kind) as (ports, proof):
                for recipients, sessions, messages in cases:
                    values = in_turn(
                        known_recipients(
                            ports, {"ours": proof}, recipients, sessions, effort.of(messages, 20)
                        ),
                        effort.rounds,
                    )
                    case = f"{kind}, {recipients} recipient(s), {sessions} session(s)"
                    results += [
                        Result(
                            f"{case}: to idle",
                            "messages/s",
                            values["ours"],
                            values["idle"],
                            target=TARGET,
                        ),
                        Result(f"{case}: to none", "messages/s", values["ours"], values["none"]),
                    ]
    return results


def known_recipients(
    ports: Mapping[str, int],
    proofs: Mapping[str, Evidence],
    recipients: int,
    sessions: int,
    messages: int,
    kinds: Mapping[str, Kind] = MappingProxyType({}),
) -> dict[str, Contestant]:
    """Contestants by name: so many messages to so many of USERS, through the Postfix at a port.

    Args:
        proofs: of the milters whose verdicts are to be proved.
        kinds: what these must be, if other than remembered.
    """
    contestants: dict[str, Contestant] = {}
    for name, port in ports.items():
        measure = throughput(port, recipients, sessions, messages)
        if proof := proofs.get(name):
            measure = proof.proves(measure, {kinds.get(name, REMEMBERED): messages * recipients})
        contestants[name] = measure
    return contestants


def throughput(port: int, recipients: int, sessions: int, messages: int) -> Contestant:
    """Messages a second. smtp-source(1) ends with an error at the first reply that is no yes.

    So each recipient was accepted, and each milter was asked: these Postfixes defer mail without it.
    """
    arguments = ["-r", str(recipients)] if recipients > 1 else []
    source = [
        "/usr/sbin/smtp-source",
        "-c",
        "-s",
        str(sessions),
        "-m",
        str(messages),
        *arguments,
        "-f",
        "ann@client.test",
        "-t",
        "joe@example.org",
        f"{HOST}:{port}",
    ]

    def measure() -> float:
        begun = time.perf_counter()
        subprocess.run(source, check=True, stdout=subprocess.DEVNULL)
        return messages / (time.perf_counter() - begun)

    return measure


@contextlib.contextmanager
def _site(cyrus: Cyrus, kind: str) -> Iterator[tuple[dict[str, int], Evidence]]:
    """The ports of three Postfixes: without a milter, with the idle one, with ours; and what ours decides."""
    with contextlib.ExitStack() as running:
        folder = running.enter_context(fresh_folder("bench"))
        places = {
            name: f"unix:{folder}/{name}.sock" if kind == "unix" else f"inet:{HOST}:{free_port()}"
            for name in ("idle", "ours")
        }
        running.enter_context(idle(places["idle"]))
        product = running.enter_context(
            Product(
                cyrus,
                accounts=USERS,
                policies=[{"name": "everyone"}],
                socket=places["ours"],
                settings={"milter": DISCARDED},
            )
        )
        product.start()
        postfixes = {
            name: running.enter_context(Postfix(milter=places.get(name)))
            for name in ("none", "idle", "ours")
        }
        make_known(postfixes["ours"])
        proof = running.enter_context(evidence(product))
        yield {name: postfix.port for name, postfix in postfixes.items()}, proof


def make_known(postfix: Postfix, users: Sequence[str] = USERS) -> None:
    """One message to all of them, so that their mailboxes exist and the milter knows it."""
    recipients = [f"{user}@example.org" for user in users]
    replies = smtp.send(postfix.host, postfix.port, "", recipients, "x\n")
    assert all(reply.ok for reply in replies), replies


def make_known_to_all(product: Product, postfix: Postfix, users: Sequence[str] = USERS) -> None:
    """`make_known` for each process of a milter that has several: which one is asked is the kernel's choice."""

    def are_known() -> bool:
        make_known(postfix, users)
        told = [json.loads(line) for line in product.run("status", "--json").stdout.splitlines()]
        return all(it.get("ready", {}).get("users") == len(users) for it in told)

    wait_until(are_known, 60.0, "all processes", product.log)


@contextlib.contextmanager
def idle(place: str, *options: str) -> Iterator[int]:
    """The do-nothing pymilter at a place as Postfix writes it; its process's id. Options as `idle_milter` has them."""
    kind, _, where = place.partition(":")
    libmilters = place if kind == "unix" else "inet:{1}@{0}".format(*where.split(":"))
    with fresh_folder("idle") as folder, (folder / "out").open("wb") as output:
        program = [sys.executable, "-m", "tests.bench.idle_milter"]
        server = start([*program, libmilters, *options], output)
        try:
            wait_until(lambda: answers(place), 10.0, "the idle milter")
            if kind == "unix":
                command(["chmod", "666", where])
            yield server.pid
        finally:
            # libmilter takes SIGTERM for itself and needs seconds to stop.
            server.kill()
            end(server)


def answers(place: str) -> bool:
    """Does a milter answer there?"""
    with contextlib.suppress(OSError), MilterClient(place):
        return True
    return False
