"""Clients of saslauthd's protocol, in processes of their own: so that Python's lock in them slows down nobody.

As a program: `python -m tests.bench.sasl_client SOCKET USER THREADS LOGINS`. It says "ready", waits for a line, logs
in with so many threads, each so often, and writes when it began and ended (CLOCK_MONOTONIC, the same in every
process). Any other answer than OK ends it with an error.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

PROCESSES = 4


def log_in(path: str, request: bytes) -> None:
    """One login, which must be OK."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(request)
        said = b""
        while more := client.recv(1000):
            said += more
    assert said[2:].startswith(b"OK"), said


def request_of(user: str) -> bytes:
    """A request for IMAP."""
    strings = (user.encode(), b"x", b"imap", b"")
    return b"".join(len(it).to_bytes(2, "big") + it for it in strings)


def seconds_for(path: Path, user: str, *, threads: int, logins: int) -> float:
    """How long all of them take: `PROCESSES` times so many threads, each so many logins."""
    command = [sys.executable, "-m", "tests.bench.sasl_client", str(path), user]
    command += [str(threads), str(logins)]
    with contextlib.ExitStack() as running:
        clients = [
            running.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
                )
            )
            for _ in range(PROCESSES)
        ]
        assert [_line(it) for it in clients] == ["ready"] * PROCESSES
        for client in clients:
            assert client.stdin
            client.stdin.write("go\n")
        times = [tuple(map(float, _line(it).split())) for it in clients]
    assert not any(it.returncode for it in clients)
    return max(end for _, end in times) - min(begun for begun, _ in times)


@contextlib.contextmanager
def idle(path: Path, many: int) -> Iterator[list[socket.socket]]:
    """So many connections that send nothing, or no more than the first byte of a request."""
    with contextlib.ExitStack() as held:
        clients = []
        for _ in range(many):
            clients.append(held.enter_context(socket.socket(socket.AF_UNIX)))
            clients[-1].connect(str(path))
            if len(clients) % 2:
                clients[-1].sendall(b"\0")
        yield clients


def _line(client: subprocess.Popen[str]) -> str:
    assert client.stdout
    return client.stdout.readline().rstrip()


def _main(path: str, user: str, threads: int, logins: int) -> None:
    request = request_of(user)
    together = threading.Barrier(threads + 1)
    failed: list[BaseException] = []

    def work() -> None:
        together.wait()
        try:
            for _ in range(logins):
                log_in(path, request)
        except BaseException as error:
            failed.append(error)

    threading.stack_size(256 << 10)
    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.monotonic()
    together.wait()
    for worker in workers:
        worker.join()
    if failed:
        raise failed[0]
    print(begun, time.monotonic(), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
