"""Where the real milter's log goes."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.servers.common import wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.milterclient import MilterClient
from tests.servers.product import Product


def test_syslog_has_one_line_a_recipient_with_the_queue_id(cyrus: Cyrus, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.settimeout(30)
        daemon.bind(str(tmp_path / "log"))
        settings = {"log": {"to": "syslog", "socket": str(tmp_path / "log")}}
        with Product(cyrus, accounts=["syslog"], settings=settings) as product:
            product.launch()
            while b" INFO ready: " not in daemon.recv(8192):
                pass
            with MilterClient(product.socket) as client:
                client.connect(address="192.0.2.7")
                client.envfrom("<ann@client.test>")
                macros = {"{rcpt_mailer}": "lmtp", "i": "4XyZ"}
                assert client.envrcpt("<syslog@example.org>", macros).code == 0
            lines = [daemon.recv(8192).decode()]
            while " recipient recipient=" not in lines[-1]:
                lines.append(daemon.recv(8192).decode())
            assert lines[-1].startswith(f"<22>autocreate[{product.pid}]: INFO recipient ")
            for field in (
                "recipient=<syslog@example.org> client=192.0.2.7 sender=<ann@client.test> "
                "queue_id=4XyZ answer=accept user=syslog source=staff ",
                " policy=everyone created=True ms=",
                " reason=created",
            ):
                assert field in lines[-1]
            assert product.stop() == 0
            assert product.log() == ""


def test_the_journal_has_every_line_with_its_priority(cyrus: Cyrus) -> None:
    with Product(cyrus) as product:
        (product.folder / "milter.log").touch()
        made = os.stat(product.folder / "milter.log")
        product.configure({"cyrus": {"port": 1}})
        product.set_environment(JOURNAL_STREAM=f"{made.st_dev}:{made.st_ino}")
        product.launch()
        wait_until(lambda: "<6>INFO ready: " in product.log(), 30.0, "the start", product.log)
        assert product.stop() == 0
        assert {line[:3] for line in product.log().splitlines()} <= {"<3>", "<4>", "<6>"}
