"""Known recipients with lmtpd asked before each is accepted, through Postfix into `discard:`.

Three milters in turn: without [lmtp]; with it, and answers remembered; and with every recipient asked about.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from tests.bench.contest import Effort, Result, in_turn
from tests.bench.evidence import REMEMBERED, Evidence, evidence
from tests.bench.warm import DISCARDED, USERS, known_recipients, make_known
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import Product

# recipients a message, sessions, messages a measurement
CASES = [(1, 1, 200), (1, 4, 400), (20, 1, 60), (20, 4, 160)]


# What the milters must have decided, where that is not the same as without lmtpd.
KINDS = {"asked": REMEMBERED._replace(asked="lmtp")}


def run(effort: Effort) -> list[Result]:
    """Measures all cases over Unix sockets; the milter's own socket, and TCP to lmtpd."""
    results = []
    with Cyrus() as cyrus, _site(cyrus) as (ports, proofs):
        for recipients, sessions, messages in CASES:
            values = in_turn(
                known_recipients(
                    ports, proofs, recipients, sessions, effort.of(messages, 20), KINDS
                ),
                effort.rounds,
            )
            case = f"{recipients} recipient(s), {sessions} session(s)"
            results += [
                Result(f"{case}: {name}", "messages/s", values[name], values["without"])
                for name in ("remembered", "asked")
            ]
    return results


@contextlib.contextmanager
def _site(cyrus: Cyrus) -> Iterator[tuple[dict[str, int], dict[str, Evidence]]]:
    """The ports of three Postfixes, each with a milter of its own, and what these decide."""
    address = f"{cyrus.host}:{cyrus.lmtp_port}"
    ways: Mapping[str, Mapping[str, Any]] = {
        "without": {},
        "remembered": {"lmtp": {"address": address, "cache_seconds": 600.0}},
        "asked": {"lmtp": {"address": address, "cache_seconds": 0}},
    }
    with contextlib.ExitStack() as running:
        ports = {}
        proofs = {}
        for name, settings in ways.items():
            product = running.enter_context(
                Product(
                    cyrus,
                    accounts=USERS,
                    policies=[{"name": "everyone"}],
                    settings={"milter": DISCARDED, **settings},
                )
            )
            product.start()
            postfix = running.enter_context(Postfix(milter=product.socket))
            ports[name] = postfix.port
            make_known(postfix)
            assert ("lmtp:" in product.log()) == bool(settings)
            proofs[name] = running.enter_context(evidence(product))
        yield ports, proofs
