"""Two processes of a milter (`milter.processes`) against one: known recipients into `discard:`.

Python runs the code of one thread at a time, so that two processes could carry more than one does. A flood of
unknown recipients is a part of tests/bench/flood.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.bench.contest import Effort, Result, in_turn
from tests.bench.evidence import EVERY_LINE, Evidence, processor_seconds
from tests.bench.warm import DISCARDED, USERS, known_recipients, make_known_to_all
from tests.servers.common import session_members
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import Product

# recipients a message, sessions, messages a measurement
CASES = [(1, 4, 400), (1, 16, 400), (20, 4, 160), (20, 16, 160)]

# Each process must have done at least so much of the work, or it was not two that were measured.
LEAST_SHARE = 0.1


def run(effort: Effort) -> list[Result]:
    """Measures each case with one process and with two."""
    results = []
    with contextlib.ExitStack() as running:
        cyrus = running.enter_context(Cyrus())
        sites = {
            name: running.enter_context(_site(cyrus, processes))
            for name, processes in (("one", 1), ("two", 2))
        }
        ports = {name: postfix.port for name, (postfix, _) in sites.items()}
        proofs = {name: proof for name, (_, proof) in sites.items()}
        for recipients, sessions, messages in CASES:
            values = in_turn(
                known_recipients(ports, proofs, recipients, sessions, effort.of(messages, 20)),
                effort.rounds,
            )
            case = f"{recipients} recipient(s), {sessions} session(s): two to one"
            results.append(Result(case, "messages/s", values["two"], values["one"]))
    return results


@contextlib.contextmanager
def _site(cyrus: Cyrus, processes: int) -> Iterator[tuple[Postfix, Evidence]]:
    """A Postfix in front of so many processes, and what they decide."""
    settings = {"milter": {**DISCARDED, "processes": processes}, "log": EVERY_LINE}
    policies = [{"name": "everyone"}]
    with Product(cyrus, accounts=USERS, policies=policies, settings=settings) as product:
        product.start()
        product.wait_for_processes(processes)
        with Postfix(milter=product.socket) as postfix:
            pids = session_members(product.pid)
            assert len(pids) == processes, pids
            make_known_to_all(product, postfix)
            proof = Evidence(product)
            before = [processor_seconds([pid]) for pid in pids]
            yield postfix, proof
            used = [
                processor_seconds([pid]) - spent for pid, spent in zip(pids, before, strict=True)
            ]
            assert min(used) > LEAST_SHARE * sum(used), f"one process did it all: {used} s"
            proof.finish()
