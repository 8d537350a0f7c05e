"""The milter as a process: its socket, its log, how it starts, reloads and ends."""

from __future__ import annotations

import contextlib
import ctypes
import grp
import json
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGHUP, SIGUSR1

import pytest
from tests.integration.conftest import Way
from tests.integration.load import load
from tests.servers.common import HOST, HUNG, free_port, fresh_folder, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.milterclient import STEPS, MilterClient
from tests.servers.product import COMMAND, Product
from tests.servers.smtp import Dialogue

LOCAL = {"{rcpt_mailer}": "lmtp"}

# What systemd does for socket activation: the socket is descriptor 3 of a process that never saw it made.
ACTIVATE = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.execv(sys.argv[2], sys.argv[2:])
"""

# The line of a thread of its own, whenever that comes to it.
RETRIES = "INFO this process retries unfinished trees now\n"


def rcpt(address: str, user: str) -> str:
    """What the milter at an address says of a recipient, on a connection of its own."""
    with connected(address) as mta:
        return asked(mta, user)


def connected(address: str) -> MilterClient:
    """A connection whose client has said who it is."""
    mta = MilterClient(address)
    mta.connect()
    mta.helo()
    return mta


def asked(mta: MilterClient, user: str) -> str:
    """What the milter says of a recipient of a message that is then given up."""
    mta.envfrom("<ann@client.test>")
    reply = mta.envrcpt(f"<{user}@example.org>", {"{rcpt_addr}": f"{user}@example.org", **LOCAL})
    mta.abort()
    return f"{reply.code} {reply.enhanced}" if reply.code else reply.verdict


def refused_start(product: Product) -> tuple[int, str]:
    """Exit status and words of a milter that ends at its start."""
    done = product.run("milter")
    assert done.stdout == ""
    return done.returncode, done.stderr


# -- the socket --------------------------------------------------------------------------------


def test_it_serves_on_a_unix_socket_with_the_mode_and_group_of_the_configuration(
    cyrus: Cyrus,
) -> None:
    settings = {"milter": {"socket_mode": "0620", "socket_group": "mail"}}
    with Product(cyrus, accounts=["unix"], settings=settings) as product:
        product.start()
        made = Path(product.socket.removeprefix("unix:")).stat()
        assert stat.S_ISSOCK(made.st_mode)
        assert stat.S_IMODE(made.st_mode) == 0o620
        assert made.st_gid == grp.getgrnam("mail").gr_gid
        assert rcpt(product.socket, "unix") == "continue"
        assert rcpt(product.socket, "nobody") == "550 5.1.1"


def test_it_serves_over_tcp(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["tcp"], socket=f"inet:{HOST}:{free_port()}") as product:
        product.start()
        assert rcpt(product.socket, "tcp") == "continue"
        assert rcpt(product.socket, "nobody") == "550 5.1.1"


def test_it_serves_on_a_descriptor_that_it_inherits(cyrus: Cyrus) -> None:
    port = free_port()

    def activated(*command: str | Path) -> list[str | Path]:
        return [sys.executable, "-c", ACTIVATE, str(port), *command]

    with Product(cyrus, accounts=["fd"], socket="fd:3", contained=activated) as product:
        product.start()
        assert rcpt(f"inet:{HOST}:{port}", "fd") == "continue"
        assert rcpt(f"inet:{HOST}:{port}", "nobody") == "550 5.1.1"
        assert product.stop() == 0


def test_a_descriptor_that_is_no_listening_socket_is_a_wrong_configuration(cyrus: Cyrus) -> None:
    with Product(cyrus, socket="fd:0") as product:
        status, words = refused_start(product)
        assert status == 78
        assert words.startswith("autocreate: milter.socket: cannot listen at fd:0: ")


def test_over_tcp_the_data_step_is_asked_for_and_answered(cyrus: Cyrus) -> None:
    # Without it Postfix sends two sets of macros in a row, and the second waits for a delayed ACK.
    with Product(cyrus, accounts=["data"], socket=f"inet:{HOST}:{free_port()}") as product:
        product.start()
        with connected(product.socket) as mta:
            left_out, silent = STEPS[b"T"]
            assert not mta.negotiated.protocol & (left_out | silent)
            assert asked(mta, "data") == "continue"
            mta.envfrom("<ann@client.test>")
            mta.envrcpt("<data@example.org>", LOCAL)
            reply = mta.data({"i": "4711"})
            assert (reply.verdict, reply.sent) == ("continue", True)


@pytest.mark.parametrize("kind", ["unix", "inet"])
def test_a_second_instance_is_refused_and_the_first_goes_on(cyrus: Cyrus, kind: str) -> None:
    place = f"inet:{HOST}:{free_port()}" if kind == "inet" else ""
    with Product(cyrus, accounts=["first"], socket=place) as product:
        product.start()
        status, words = refused_start(product)
        path = product.socket.removeprefix("unix:")
        assert (status, words) == {
            "unix": (
                75,
                f"autocreate: another instance listens at {path}: stop it, or give this one "
                "another milter.socket\n",
            ),
            "inet": (
                78,
                f"autocreate: milter.socket: cannot listen at {place}: Address already in use\n",
            ),
        }[kind]
        assert rcpt(product.socket, "first") == "continue"


def test_a_socket_that_a_kill_left_behind_is_taken_over(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["stale"]) as product:
        product.start()
        product.kill()
        assert Path(product.socket.removeprefix("unix:")).exists()
        product.start()
        assert rcpt(product.socket, "stale") == "continue"


# -- reload ------------------------------------------------------------------------------------


def test_reloads_under_load_lose_no_reply_and_cause_no_doubt(
    cyrus: Cyrus, way: Callable[[Product], Way], named: Callable[[str], str]
) -> None:
    users = [named(f"reload{number}") for number in range(200)]
    here = way(Product(cyrus, accounts=users))
    with contextlib.ExitStack() as stack:
        # Some sessions stand all the time, others are new; some users are being created, others stand.
        standing = [stack.enter_context(here.session()) for _ in range(8)]

        def session(number: int) -> str:
            user = users[number // 3 % 200]
            if number % 3 == 0:
                return str(here.codes(user, "nobody"))
            smtp = standing[number % 8]
            codes = [smtp.rcpt(f"{it}@example.org").code for it in (user, "nobody")]
            assert smtp.rset().code == 250
            assert smtp.mail("ann@client.test").code == 250
            return str(codes)

        with load(session) as counts:
            for turn in range(10):
                before = counts.total()
                assert here.product.reload([SIGHUP, SIGUSR1][turn % 2]).endswith("INFO reloaded")
                wait_until(lambda: counts.total() > before + 20, 20.0, "traffic")  # noqa: B023
    assert set(counts) == {"[250, 550]"}
    assert "ERROR" not in here.product.log()
    assert here.product.stop() == 0
    assert not here.product.unfinished()


def test_a_signal_that_another_thread_takes_is_not_lost(cyrus: Cyrus) -> None:
    with Product(cyrus) as product:
        product.start()
        threads = [int(it.name) for it in Path(f"/proc/{product.pid}/task").iterdir()]
        other = next(it for it in threads if it != product.pid)
        assert ctypes.CDLL(None).tgkill(product.pid, other, int(SIGUSR1)) == 0
        product.wait_for_log("^INFO reloaded$")


def test_a_reload_takes_up_what_has_changed(cyrus: Cyrus) -> None:
    with Product(cyrus) as product:
        product.start()
        with connected(product.socket) as mta:
            assert asked(mta, "nobody") == "550 5.1.1"
            product.configure({"milter": {"domains": ["other.test"]}})
            assert product.reload() == "INFO reloaded"
            assert asked(mta, "nobody") == "continue"


def test_a_wrong_file_leaves_the_old_configuration_running_and_says_what_is_wrong(
    cyrus: Cyrus,
) -> None:
    with Product(cyrus, accounts=["stays"]) as product:
        product.start()
        product.configure({"milter": {"deadlin": 5.0}})
        said = product.reload()
        assert said.startswith("ERROR not reloaded, the old configuration stays in use: ")
        assert "milter.deadlin: unknown key; did you mean 'deadline'?" in said
        assert rcpt(product.socket, "stays") == "continue"
        assert rcpt(product.socket, "nobody") == "550 5.1.1"
        product.config_file.unlink()
        assert "cannot be read: No such file or directory" in product.reload()
        product.configure({})
        assert product.reload() == "INFO reloaded"


# -- the end -----------------------------------------------------------------------------------


def test_it_ends_under_load_with_a_regular_reply_to_every_command(
    cyrus: Cyrus, way: Callable[[Product], Way], named: Callable[[str], str]
) -> None:
    users = [named(f"end{count}") for count in range(90)]
    here = way(Product(cyrus, accounts=users))
    for turn in range(3):
        # Some of them are being created when the end comes.
        mine = users[turn * 30 : turn * 30 + 30]

        def session(count: int) -> str:
            with Dialogue(here.mta.host, here.mta.port) as smtp:
                smtp.ehlo()
                mail = smtp.mail("ann@client.test").code
                rcpts = [smtp.rcpt(f"{mine[count % 30]}@example.org").code]  # noqa: B023
                rcpts.append(smtp.rcpt("nobody@example.org").code)
                assert smtp.quit().code == 221
            # Without a milter the MTA has a 451 of its own, and a 503 for RCPT after it.
            assert (mail, *rcpts) in {(250, 250, 550), (250, 250, 451), (250, 451, 451)} | {
                (451, 503, 503)
            }
            return str(rcpts)

        with load(session) as counts:
            wait_until(lambda: counts["[250, 550]"] > 10, 30.0, "traffic")
            here.product.signal(signal.SIGTERM)
            assert here.product.wait_for_end() == 0
        assert "Traceback" not in here.product.log()
        here.product.start()
    assert here.product.log().count("INFO stopped") == 3
    wait_until(lambda: not here.product.unfinished(), 20.0, "an empty journal")
    assert here.codes(users[0], users[-1]) == [250, 250]


# -- what systemd and the log are told -----------------------------------------------------------


@pytest.fixture
def systemd() -> Iterator[tuple[str, Callable[[], str]]]:
    """Where to notify it, and the next notification."""
    with (
        fresh_folder("notify") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
    ):
        told.bind(f"{folder}/notify")
        told.settimeout(20.0)
        yield f"{folder}/notify", lambda: told.recv(4096).decode()


def test_systemd_is_told_of_start_reload_and_stop(
    cyrus: Cyrus, systemd: tuple[str, Callable[[], str]]
) -> None:
    address, told = systemd
    with Product(cyrus, environment={"NOTIFY_SOCKET": address}) as product:
        product.launch()
        assert told() == "READY=1"
        assert rcpt(product.socket, "nobody") == "550 5.1.1"
        product.signal(SIGHUP)
        state, _, since = told().partition("\nMONOTONIC_USEC=")
        assert state == "RELOADING=1"
        assert since.isdecimal()
        assert told() == "READY=1"
        product.signal(signal.SIGTERM)
        assert told() == "STOPPING=1"
        assert product.wait_for_end() == 0


def test_signals_that_come_together_are_all_taken_by_us_and_none_by_libmilter(cyrus: Cyrus) -> None:
    for _ in range(10):  # without care one of five ends with "fatal: libmilter has returned"
        with Product(cyrus) as product:
            product.start()
            for number in (signal.SIGUSR1, SIGHUP, signal.SIGTERM):
                product.signal(number)
            assert product.wait_for_end() == 0, product.log()
            assert "INFO SIGTERM: stopping" in product.log()


def test_dry_run_on_the_command_line_overrules_the_file(cyrus: Cyrus) -> None:
    with Product(cyrus, accounts=["dry"]) as product:
        product.start("--dry-run")
        assert rcpt(product.socket, "dry") == "continue"
        assert rcpt(product.socket, "nobody") == "continue"
        assert product.reload() == "INFO reloaded"
        assert rcpt(product.socket, "nobody") == "continue"
        assert cyrus.mailboxes("user/dry*") == set()
        recorded = product.seen()
        assert recorded["<dry@example.org>"]["answer"] == "accept"
        assert recorded["<nobody@example.org>"]["times"] == 2


def test_the_log_goes_to_stderr_and_nothing_to_stdout(cyrus: Cyrus) -> None:
    with (
        Product(cyrus) as product,
        subprocess.Popen(
            [COMMAND, "milter", "--config", product.config_file],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as milter,
    ):
        assert milter.stderr is not None
        ready = f"INFO ready: enforce; milter at {product.socket}; 1 domain, 1 account source\n"
        assert any(line == ready for line in milter.stderr)
        milter.terminate()
        out, err = milter.communicate(timeout=HUNG)
    assert out == ""
    assert err.replace(RETRIES, "") == "INFO SIGTERM: stopping\nINFO stopped\n"


def test_the_json_log_has_an_object_a_line_whatever_clients_send(cyrus: Cyrus) -> None:
    with Product(cyrus, settings={"log": {"format": "json"}}) as product:
        product.start()
        with MilterClient(product.socket) as mta:
            mta.connect()
            mta.envfrom(b'<"a\nINFO forged"@client.test>')
            assert mta.envrcpt(b"<\xff@example.org>", LOCAL).code == 553
            assert mta.envrcpt(b'<"x\r\n{}"@example.org>', LOCAL).code == 553
        product.stop()
        lines = [json.loads(line) for line in product.log().splitlines()]
        assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
        recipients = [line for line in lines if line["message"] == "recipient"]
        assert [it["recipient"] for it in recipients] == [
            "<\\udcff@example.org>",
            '<"x\r\n{}"@example.org>',
        ]


def test_the_text_log_has_a_line_a_recipient_whatever_clients_send(cyrus: Cyrus) -> None:
    with Product(cyrus) as product:
        product.start()
        with MilterClient(product.socket) as mta:
            mta.connect()
            mta.envfrom(b'<"a\nINFO forged"@client.test>')
            assert mta.envrcpt(b'<"x\r\nINFO forged"@example.org>', LOCAL).code == 553
        product.stop()
        lines = product.log().replace(RETRIES, "").splitlines()
        assert [line.split(" ")[:2] for line in lines] == [
            ["INFO", "ready:"],
            ["INFO", "recipient"],
            ["INFO", "SIGTERM:"],
            ["INFO", "stopped"],
        ]


# -- wrong configurations ------------------------------------------------------------------------


def test_a_start_on_a_wrong_file_lists_every_problem_with_its_key(cyrus: Cyrus) -> None:
    with Product(cyrus) as product:
        product.configure(
            {
                "milter": {"socket": "milter.sock", "domains": "example.org"},
                "cyrus": {"port": 0, "pasword_file": "x"},
            }
        )
        status, words = refused_start(product)
        assert status == 78
        for key in ("milter.socket", "milter.domains", "cyrus.port", "cyrus.pasword_file"):
            beginning = re.escape(f"autocreate: {product.config_file}, line ")
            assert re.search(rf"^{beginning}\d+: {re.escape(key)}: ", words, re.MULTILINE)
        assert len(words.splitlines()) == 4


def test_a_secret_that_is_missing_empty_or_open_to_everyone_is_not_used(cyrus: Cyrus) -> None:
    with Product(cyrus) as product:
        secret = product.folder / "cyrus.secret"
        text = product.config_file.read_text().splitlines()
        (line,) = [it for it, key in enumerate(text, 1) if key.startswith("password_file")]
        key = f"autocreate: {product.config_file}, line {line}: cyrus.password_file: "
        secret.chmod(0o644)
        assert refused_start(product) == (
            78,
            f"{key}{secret} is accessible to everyone: chmod o= {secret}\n",
        )
        secret.chmod(0o600)
        secret.write_text("\n")
        assert refused_start(product) == (
            78,
            f"{key}{secret}: its first line is empty; write the password into it\n",
        )
        secret.unlink()
        assert refused_start(product) == (
            78,
            f"{key}cannot read {secret}: No such file or directory\n",
        )


def test_a_folder_that_is_missing_is_said_to_be_missing(cyrus: Cyrus) -> None:
    with Product(cyrus, socket="unix:/nonexistent/milter.sock") as product:
        status, words = refused_start(product)
        assert status == 78
        assert "cannot listen at unix:/nonexistent/milter.sock: No such file or directory" in words
