"""What a user of this machine does at the sockets of the real milter, while mail goes on."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.test_metrics import Scraper, ask
from tests.servers.common import HOST, free_port
from tests.servers.cyrus import Cyrus
from tests.servers.product import Product

DESCRIPTORS = 256
CONNECTIONS = 600


@pytest.fixture
def product(cyrus: Cyrus) -> Iterator[tuple[Product, int]]:
    """With few descriptors, so that an attack needs few; and its port of metrics."""
    port = free_port()
    with Product(
        cyrus,
        accounts=["local-user"],
        settings={"metrics": {"listen": f":{port}"}},
        contained=lambda *command: ["prlimit", f"--nofile={DESCRIPTORS}", *command],
    ) as made:
        made.start()
        yield made, port


def test_slow_connections_to_the_metrics_cost_no_mail(product: tuple[Product, int]) -> None:
    milter, port = product
    assert ask(milter, "local-user@example.org") == [0]
    process = Path(f"/proc/{milter.pid}")
    before = len(list((process / "fd").iterdir()))
    with contextlib.ExitStack() as held:
        for _ in range(CONNECTIONS):
            slow = held.enter_context(socket.socket())
            slow.setblocking(False)
            slow.connect_ex((HOST, port))
            with contextlib.suppress(OSError):
                slow.send(b"GET /metrics HTTP/1.0\r\n")
        begun = time.monotonic()
        for _ in range(20):
            assert ask(milter, "local-user@example.org", "local-nobody@example.org") == [0, 550]
        assert time.monotonic() - begun < 20.0
        assert len(list((process / "fd").iterdir())) < before + 20
        assert len(list((process / "task").iterdir())) < 60
    assert Scraper(port)()["autocreate_journal_up"] == 1
    lines = [line for line in milter.log().splitlines() if "metrics" in line]
    assert len(lines) <= 5


def test_what_is_no_http_is_no_traceback(product: tuple[Product, int]) -> None:
    milter, port = product
    for request in (b"GET http://[x HTTP/1.0\r\n\r\n", b"\xff" * 100, b"GET\r\n\r\n", b"") * 50:
        with socket.create_connection((HOST, port), timeout=20.0) as client:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while client.recv(1000):
                    pass
    assert "Traceback" not in milter.log()
    assert len(milter.log().splitlines()) < 20
    assert Scraper(port)()["autocreate_journal_up"] == 1
