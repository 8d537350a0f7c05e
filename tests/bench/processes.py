"""Two milters behind one listening descriptor against one: known recipients, through Postfix into `discard:`.

Python runs the code of one thread at a time, so that two processes could carry more than one does.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.contest import Result, in_turn
from tests.bench.warm import USERS, throughput
from tests.servers import smtp
from tests.servers.common import HOST, fresh_folder, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import READY, Product

# recipients a message, sessions, messages a measurement
CASES = [(1, 4, 600), (1, 16, 600), (20, 4, 240), (20, 16, 240)]


def run(rounds: int) -> list[Result]:
    """Measures each case with one process and with two."""
    results = []
    with (
        fresh_folder("processes") as folder,
        Cyrus() as cyrus,
        _site(cyrus, folder / "one", 1) as one,
        _site(cyrus, folder / "two", 2) as two,
    ):
        for recipients, sessions, messages in CASES:
            values = in_turn(
                {
                    "one": throughput(one, recipients, sessions, messages),
                    "two": throughput(two, recipients, sessions, messages),
                },
                rounds,
            )
            case = f"{recipients} recipient(s), {sessions} session(s): two to one"
            results.append(Result(case, "messages/s", values["two"], values["one"]))
    return results


@contextlib.contextmanager
def _site(cyrus: Cyrus, place: Path, processes: int) -> Iterator[int]:
    """The port of a Postfix in front of so many processes."""
    product = Product(
        cyrus,
        accounts=USERS,
        policies=[{"name": "everyone"}],
        socket=f"unix:{place}",
        settings={"milter": {"socket": "fd:3", "cache_seconds": 600.0}},
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
            recipients = [f"{user}@example.org" for user in USERS]
            replies = smtp.send(HOST, postfix.port, "", recipients, "x\n")
            assert all(reply.ok for reply in replies), replies
            yield postfix.port


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
