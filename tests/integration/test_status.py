"""`autocreate status` beside real servers: what it says while all is well, and while something is away."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import time
from typing import Any

from tests.integration.test_socketmap import rcpt
from tests.servers.common import wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import COMMAND, Product

from autocreate.service.journal import Entry, Journal


def told(product: Product) -> dict[str, Any]:
    (line,) = product.json("status")
    return line


def leave_unfinished(product: Product, user: str) -> None:
    """Write what a process leaves that was killed while it made a tree."""
    with contextlib.closing(Journal(f"sqlite:///{product.journal}", time.time)) as journal:
        journal.begin(Entry(user, f"{user}@example.org", error="killed", next_try=time.time()))


def test_a_process_tells_what_it_depends_on_and_what_it_decided(cyrus: Cyrus) -> None:
    lmtp = {"lmtp": {"address": f"{cyrus.host}:{cyrus.lmtp_port}"}}
    with Product(cyrus, accounts=["stan"], settings=lmtp) as product:
        done = product.run("status")
        assert done.returncode == 2
        assert (
            done.stdout == f"not running: nothing listens at {product.folder}/milter.sock.control\n"
        )
        product.start()
        asleep = told(product)
        assert asleep["level"] == "ok"
        assert asleep["sources"]["staff"]["state"]["up"] is None
        with Postfix(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port)) as mta:
            codes = [it.code for it in rcpt(mta, "stan@example.org", "nobody@example.org")]
            assert codes == [250, 550]
        done = product.run("status")
        assert done.returncode == 0, done.stdout
        for words in (
            rf"^ok: autocreate \S+, pid {product.pid}, mode enforce, running since ",
            rf"^  milter.socket +{product.socket}$",
            r"^  cyrus +up since 2",
            r"^  journal +up since 2",
            r"^  accounts.staff +up since 2",
            r"^  lmtp +(up since 2|not asked yet)",
            r"^  last hour, milter +(created 1, unknown 1|unknown 1, created 1)$",
            r"^  caches +mailboxes 1 of 100,000, accounts.staff ",
            r"^  unfinished trees +0$",
        ):
            assert re.search(words, done.stdout, re.MULTILINE), done.stdout


def test_what_is_away_is_named_with_its_reason_and_the_exit_status_says_so(cyrus: Cyrus) -> None:
    with Cyrus() as own, Product(own, accounts=["una", "vic"]) as product:
        product.start()
        with Postfix(milter=product.socket, lmtp=(own.host, own.lmtp_port)) as mta:
            own.stop()
            assert rcpt(mta, "una@example.org")[0].code == 451
            found = told(product)
            assert (found["level"], found["cyrus"]["state"]["up"]) == ("critical", False)
            assert product.run("status").returncode == 2
            assert "DOWN since" in product.run("status").stdout
            assert "answer=temporary" in found["last_error"]["line"]
            own.start()
            wait_until(lambda: rcpt(mta, "una@example.org")[0].code == 250, 20.0, "una's mailbox")
            assert told(product)["cyrus"]["state"]["up"] is True
            (product.folder / "new").write_bytes(b"not a database" * 1000)
            (product.folder / "new").rename(product.database)
            assert rcpt(mta, "vic@example.org")[0].code == 451
            found = told(product)
            assert (found["level"], found["sources"]["staff"]["state"]["up"]) == ("warning", False)
            assert product.run("status").returncode == 1


def test_watching_looks_again_until_it_is_interrupted(cyrus: Cyrus) -> None:
    with Product(cyrus) as product:
        product.start()
        watching = subprocess.Popen(
            # A command that is started in the background of a shell ignores SIGINT otherwise.
            [
                *("env", "--default-signal=INT", str(COMMAND), "status", "--json", "--watch"),
                *("--config", str(product.config_file)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert watching.stdout
        with watching, watching.stdout:
            times = [json.loads(watching.stdout.readline())["now"] for _ in range(2)]
            watching.send_signal(signal.SIGINT)
            assert watching.wait(10) == 130
        assert times[1] > times[0]


def test_an_unfinished_tree_is_listed_named_by_status_retried_and_dropped(cyrus: Cyrus) -> None:
    with Cyrus() as own, Product(own, accounts=["ulf", "uwe"]) as product:
        product.run("provision", "ulf@example.org")
        for user in ("ulf", "uwe"):
            leave_unfinished(product, user)
        assert product.run("unfinished", "list").stderr == "2 unfinished trees\n"
        lines = product.run("unfinished", "list").stdout.splitlines()
        assert [line.split(":")[0] for line in lines] == ["ulf", "uwe"]
        assert product.run("unfinished", "drop", "nobody", "ulf").returncode == 65
        assert set(product.unfinished()) == {"ulf", "uwe"}
        mailboxes = own.mailboxes("user/ulf*")
        assert product.run("unfinished", "drop", "ulf").stdout == "ulf: dropped\n"
        assert own.mailboxes("user/ulf*") == mailboxes
        own.stop()
        done = product.run("unfinished", "retry", "--all")
        assert done.returncode == 75, done.stdout
        own.start()
        done = product.run("unfinished", "retry", "uwe")
        assert done.returncode == 0, done.stdout
        assert done.stdout.startswith("uwe: accept\n")
        assert own.mailboxes("user/uwe")
        assert product.unfinished() == {}
        assert product.run("unfinished", "retry").returncode == 2
