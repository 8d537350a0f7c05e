"""Several processes of the milter at one socket: `milter.processes`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import WHOLE_TREE, Way
from tests.integration.load import load
from tests.integration.test_process import ACTIVATE, asked, connected, rcpt
from tests.servers.common import HOST, free_port, session_members, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.postgres import Postgres
from tests.servers.product import Product
from tests.servers.smtp import Dialogue

PROCESSES = 3
MANY = {"milter": {"processes": PROCESSES}}


@contextlib.contextmanager
def started(cyrus: Cyrus, *users: str, **options: Any) -> Iterator[Product]:
    with Product(cyrus, accounts=users, **{"settings": MANY, **options}) as product:
        product.start()
        product.wait_for_processes(PROCESSES)
        yield product


@pytest.fixture(scope="module")
def shared(cyrus: Cyrus) -> Iterator[Product]:
    """Processes that tests do not stop."""
    with started(cyrus) as product:
        yield product


def told(product: Product) -> list[dict[str, Any]]:
    """What each process tells of itself, the first one first."""
    done = product.run("status", "--json")
    assert done.returncode == 0, done.stdout
    return [json.loads(line) for line in done.stdout.splitlines()]


def tree(cyrus: Cyrus, user: str) -> list[str]:
    """A user's mailboxes without their common beginning."""
    begin = f"user/{user}"
    found = (it for it in cyrus.mailboxes(f"{begin}*") if it == begin or it.startswith(f"{begin}/"))
    return sorted(it.removeprefix(begin) for it in found)


def has_answered(status: dict[str, Any]) -> bool:
    return any(str(frontend) == "milter" for frontend, *_ in status["last_hour"])


def ask_all(product: Product, user: str) -> None:
    """Ask for a user until each process has answered once."""
    with contextlib.ExitStack() as connections:

        def ask() -> bool:
            assert asked(connections.enter_context(connected(product.socket)), user) == "continue"
            return all(map(has_answered, told(product)))

        wait_until(ask, 30.0, "an answer of each process", product.log)


def test_each_answers_at_the_one_socket_and_status_shows_each(shared: Product) -> None:
    shared.add_account("each")
    ask_all(shared, "each")
    processes = told(shared)
    assert len({it["pid"] for it in processes}) == PROCESSES
    assert {it["level"] for it in processes} == {"ok"}
    control = f"{shared.socket.removeprefix('unix:')}.control"
    assert [it["process"] for it in processes] == [control, f"{control}.1", f"{control}.2"]
    assert f", {PROCESSES} processes\n" in shared.log()


def test_a_tree_is_made_once_whoever_is_asked(shared: Product, cyrus: Cyrus) -> None:
    users = [f"once{number}" for number in range(4)]
    for user in users:
        shared.add_account(user)
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda number: rcpt(shared.socket, users[number % 4]), range(24)))
    assert answers == ["continue"] * 24
    for user in users:
        assert shared.log().count(f"{user}: mailbox created") == 1
        assert tree(cyrus, user) == WHOLE_TREE
    assert not shared.unfinished()
    assert [it["turns"]["failed"] + it["turns"]["missed"] for it in told(shared)] == [0] * PROCESSES


def test_what_one_learns_the_others_hear(shared: Product) -> None:
    before = [it["news"] for it in told(shared)]
    shared.add_account("heard")
    assert rcpt(shared.socket, "heard") == "continue"

    def is_heard() -> bool:
        after = [it["news"] for it in told(shared)]
        sent, received = (
            [now[key] - then[key] for now, then in zip(after, before, strict=True)]
            for key in ("sent", "received")
        )
        return bool(sum(sent) >= 1 and sum(received) >= PROCESSES - 1)

    wait_until(is_heard, 10.0, "the others", shared.log)
    assert {it["news"]["state"]["up"] for it in told(shared)} == {True}


def test_a_mailbox_that_was_deleted_is_forgotten_by_all(shared: Product, cyrus: Cyrus) -> None:
    shared.add_account("gone")
    ask_all(shared, "gone")
    cyrus.delete("user/gone")
    assert shared.run("cache", "clear", "--user", "gone").returncode == 0
    assert rcpt(shared.socket, "gone") == "continue"
    assert tree(cyrus, "gone") == WHOLE_TREE


def test_all_reload_and_an_invalid_configuration_changes_none(cyrus: Cyrus) -> None:
    with started(cyrus, "one") as product:
        product.configure({**MANY, "milter": {**MANY["milter"], "domains": ["elsewhere.test"]}})
        product.reload()
        wait_until(
            lambda: product.log().count("INFO reloaded\n") == PROCESSES, 20.0, "all", product.log
        )
        assert {rcpt(product.socket, "nobody") for _ in range(12)} == {"continue"}  # not ours now
        product.configure({**MANY, "milter": {**MANY["milter"], "deadline": "long"}})
        assert "not reloaded" in product.reload()
        assert product.log().count("not reloaded") == 1


def test_one_that_was_killed_is_started_again_and_the_others_go_on(cyrus: Cyrus) -> None:
    with started(cyrus, "stays") as product:
        assert rcpt(product.socket, "stays") == "continue"
        victim = told(product)[1]["pid"]
        os.kill(victim, signal.SIGKILL)
        product.wait_for_log(
            r"ERROR further process 1 was ended by SIGKILL; after 1 s it is started again$"
        )
        assert {rcpt(product.socket, "stays") for _ in range(6)} == {"continue"}
        product.wait_for_processes(PROCESSES + 1)
        assert len({it["pid"] for it in told(product)} - {victim}) == PROCESSES


def test_when_the_first_is_killed_the_others_end_and_it_can_start_again(cyrus: Cyrus) -> None:
    with started(cyrus, "again") as product:
        first = product.pid
        product.kill()
        wait_until(lambda: not session_members(first), 20.0, "their end", product.log)
        product.start()
        product.wait_for_processes(PROCESSES)
        assert rcpt(product.socket, "again") == "continue"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_end_with_the_first_and_leave_no_socket(cyrus: Cyrus, number: signal.Signals) -> None:
    with started(cyrus) as product:
        first, folder = product.pid, product.folder
        product.signal(number)
        assert product.wait_for_end() == 0
        assert not session_members(first)
        assert not [it for it in folder.rglob("*") if it.is_socket()]
        assert "ERROR" not in product.log()
        assert product.log().count("INFO stopped\n") == PROCESSES


def test_a_restart_under_load_refuses_nobody_for_good(
    cyrus: Cyrus, way: Callable[[Product], Way]
) -> None:
    users = [f"restart{number}" for number in range(40)]
    here = way(Product(cyrus, accounts=users, settings=MANY))

    def session(number: int) -> str:
        with Dialogue(here.mta.host, here.mta.port) as smtp:
            # While nothing listens, the MTA itself defers.
            replies = [smtp.ehlo(), smtp.mail("ann@client.test")]
            replies.append(smtp.rcpt(f"{users[number % 40]}@example.org"))
            return str(max(reply.code for reply in replies))

    with load(session, threads=6) as counts:
        for _ in range(3):
            here.product.wait_for_processes(PROCESSES)
            before = counts["250"]
            wait_until(lambda: counts["250"] > before + 20, 30.0, "traffic", here.product.log)  # noqa: B023
            assert here.product.stop() == 0
            here.product.start()
    assert set(counts) <= {"250", "421", "451", "503"}  # 503: RCPT after a MAIL that was deferred
    assert not here.product.unfinished()


def test_they_share_a_socket_that_systemd_made(cyrus: Cyrus) -> None:
    port = free_port()

    def activated(*command: str | Path) -> list[str | Path]:
        return [sys.executable, "-c", ACTIVATE, str(port), *command]

    settings = {"milter": {**MANY["milter"], "control": "/nonexistent"}}
    with Product(cyrus, socket="fd:3", settings=settings, contained=activated) as product:
        settings["milter"]["control"] = f"{product.folder}/control"
        product.configure(settings)
        product.start()
        product.wait_for_processes(PROCESSES)
        answers = {rcpt(f"inet:{HOST}:{port}", "nobody") for _ in range(12)}
        assert answers == {"550 5.1.1"}
        assert product.stop() == 0
        assert "ERROR" not in product.log()


def test_each_has_metrics_at_a_port_of_its_own(cyrus: Cyrus) -> None:
    port = free_port(PROCESSES)
    with started(cyrus, settings={**MANY, "metrics": {"listen": f"{HOST}:{port}"}}):
        for number in range(PROCESSES):
            with urllib.request.urlopen(f"http://{HOST}:{port + number}/metrics") as answer:
                assert b"autocreate_" in answer.read()


def test_with_a_journal_on_postgresql_they_are_as_the_mtas_of_a_farm(cyrus: Cyrus) -> None:
    with Postgres() as server:
        server.execute(f"GRANT CREATE ON SCHEMA public TO {server.user}")
        url = re.sub(r"^\w+(\+\w+)?:", "postgresql:", server.url)
        secret = server.folder / "journal.secret"
        secret.touch(mode=0o600)
        secret.write_text(f"{server.password}\n")
        journal = {"url": url, "password_file": str(secret)}
        with started(cyrus, "pg0", "pg1", settings={**MANY, "journal": journal}) as product:
            with ThreadPoolExecutor(12) as pool:
                users = [f"pg{number % 2}" for number in range(12)]
                assert set(pool.map(lambda it: rcpt(product.socket, it), users)) == {"continue"}
            for user in ("pg0", "pg1"):
                assert product.log().count(f"{user}: mailbox created") == 1
            assert not list(product.folder.glob("journal.db*"))


def test_an_option_that_is_not_for_administrators_says_so(cyrus: Cyrus) -> None:
    with Product(cyrus) as product:
        done = product.run("milter", "--further", "nonsense")
        assert done.returncode == 2
        assert "only a milter that runs can start further processes" in done.stderr
