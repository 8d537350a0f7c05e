"""Two milters behind one listening descriptor against one: known recipients, through Postfix into `discard:`.

Python runs the code of one thread at a time, so that two processes could carry more than one does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.bench.contest import Effort, Result, in_turn
from tests.bench.evidence import Evidence, processor_seconds
from tests.bench.warm import DISCARDED, USERS, known_recipients, make_known
from tests.servers.common import fresh_folder, session_members, signal_all, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import READY, Product

# recipients a message, sessions, messages a measurement
CASES = [(1, 4, 600), (1, 16, 600), (20, 4, 240), (20, 16, 240)]

# Each process must have done at least so much of the work, or it was not two that were measured.
LEAST_SHARE = 0.1


def run(effort: Effort) -> list[Result]:
    """Measures each case with one process and with two."""
    results = []
    with contextlib.ExitStack() as running:
        folder = running.enter_context(fresh_folder("processes"))
        cyrus = running.enter_context(Cyrus())
        sites = {
            name: running.enter_context(_site(cyrus, folder / name, processes))
            for name, processes in (("one", 1), ("two", 2))
        }
        ports = {name: port for name, (port, _) in sites.items()}
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
def _site(cyrus: Cyrus, place: Path, processes: int) -> Iterator[tuple[int, Evidence]]:
    """The port of a Postfix in front of so many processes, and what they decide."""
    product = Product(
        cyrus,
        accounts=USERS,
        policies=[{"name": "everyone"}],
        socket=f"unix:{place}",
        settings={"milter": {**DISCARDED, "socket": "fd:3"}},
        contained=lambda *command: [
            *(sys.executable, "-m", __name__, str(place), str(processes)),
            *map(str, command),
        ],
    )
    with product:
        product.launch()
        wait_until(
            lambda: len(READY.findall(product.log())) == processes, 30.0, "them", product.log
        )
        with Postfix(milter=product.socket) as postfix:
            pids = session_members(product.pid)
            assert len(pids) == processes, pids
            for pid in pids:
                with _paused(it for it in pids if it != pid):
                    make_known(postfix)
            proof = Evidence(product)
            before = [processor_seconds([pid]) for pid in pids]
            yield postfix.port, proof
            used = [
                processor_seconds([pid]) - spent for pid, spent in zip(pids, before, strict=True)
            ]
            assert min(used) > LEAST_SHARE * sum(used), f"one process did it all: {used} s"
            proof.finish()


@contextlib.contextmanager
def _paused(pids: Iterable[int]) -> Iterator[None]:
    """Meanwhile these processes take no connection, so that another does."""
    paused = list(pids)
    signal_all(paused, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all(paused, signal.SIGCONT)


def _listen_for(place: str, processes: int, command: list[str]) -> None:
    """Hand a listening socket to processes as their descriptor 3, and end with the last of them."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(100)
    Path(place).chmod(0o666)
    if (descriptor := listener.detach()) != 3:
        os.dup2(descriptor, 3)
    os.set_inheritable(3, True)
    for _ in range(processes - 1):
        if os.fork() == 0:
            break
    os.execv(command[0], command)


if __name__ == "__main__":
    _listen_for(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
