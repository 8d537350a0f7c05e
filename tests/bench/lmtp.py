"""Known recipients with lmtpd asked before each is accepted, through Postfix into `discard:`.

Three milters in turn: without [lmtp]; with it, and answers remembered; and with every recipient asked about.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from tests.bench.contest import Result, in_turn
from tests.bench.warm import USERS, throughput
from tests.servers import smtp
from tests.servers.common import HOST
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import Product

# recipients a message, sessions, messages a measurement
CASES = [(1, 1, 400), (1, 4, 600), (20, 1, 120), (20, 4, 240)]


def run(rounds: int) -> list[Result]:
    """Measures all cases over Unix sockets; the milter's own socket, and TCP to lmtpd."""
    results = []
    with Cyrus() as cyrus, _site(cyrus) as ports:
        for recipients, sessions, messages in CASES:
            values = in_turn(
                {
                    name: throughput(port, recipients, sessions, messages)
                    for name, port in ports.items()
                },
                rounds,
            )
            case = f"{recipients} recipient(s), {sessions} session(s)"
            results += [
                Result(f"{case}: {name}", "messages/s", values[name], values["without"])
                for name in ("remembered", "asked")
            ]
    return results


@contextlib.contextmanager
def _site(cyrus: Cyrus) -> Iterator[dict[str, int]]:
    """The ports of three Postfixes, each with a milter of its own."""
    address = f"{cyrus.host}:{cyrus.lmtp_port}"
    ways: Mapping[str, Mapping[str, Any]] = {
        "without": {},
        "remembered": {"lmtp": {"address": address, "cache_seconds": 600.0}},
        "asked": {"lmtp": {"address": address, "cache_seconds": 0}},
    }
    with contextlib.ExitStack() as running:
        ports = {}
        for name, settings in ways.items():
            milter = {"cache_seconds": 600.0, "mailers": ["discard"]}
            product = running.enter_context(
                Product(
                    cyrus,
                    accounts=USERS,
                    policies=[{"name": "everyone"}],
                    settings={"milter": milter, **settings},
                )
            )
            product.start()
            postfix = running.enter_context(Postfix(milter=product.socket))
            ports[name] = postfix.port
            recipients = [f"{user}@example.org" for user in USERS]
            replies = smtp.send(HOST, postfix.port, "", recipients, "x\n")
            assert all(reply.ok for reply in replies), replies
            assert product.log().count("answer=accept") == len(USERS), product.log()
            assert ("lmtp:" in product.log()) == bool(settings)
        yield ports
