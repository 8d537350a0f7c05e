"""`on_created` in a running service: after the tree, outside the mail's way, at least once."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import WHOLE_TREE, Way, started
from tests.integration.test_metrics import Scraper
from tests.servers.common import free_port, wait_until
from tests.servers.cyrus import Cyrus

Start = Callable[..., Way]


class Hook:
    """A shell script in the place of a hook, which keeps what it reads."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "hook"
        self._kept = folder / "events"
        self.write("exit 0")

    def write(self, what: str) -> None:
        self.file.write_text(f"#!/bin/sh\ncat >> {self._kept}\n{what}\n")
        self.file.chmod(0o755)

    @property
    def events(self) -> list[dict[str, Any]]:
        if not self._kept.exists():
            return []
        return [json.loads(line) for line in self._kept.read_text().splitlines()]


@pytest.fixture
def hook(tmp_path: Path) -> Hook:
    return Hook(tmp_path)


@pytest.fixture
def start(cyrus: Cyrus, hook: Hook) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def begin(
            *users: str, policy: Mapping[str, Any] | None = None, **settings: Mapping[str, Any]
        ) -> Way:
            ours = {"on_created": [str(hook.file)], **(policy or {})}
            query = "SELECT userid, 'Joe Doe' AS cn FROM accounts WHERE userid = :user"
            return started(stack, cyrus, users, ours, settings, query)

        yield begin


def waiting(way: Way) -> list[dict[str, Any]]:
    """The hooks that the journal says are still to run."""
    with contextlib.closing(sqlite3.connect(way.product.journal)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM hooks")]


def make_due(way: Way) -> None:
    """A minute later, as it were."""
    with contextlib.closing(sqlite3.connect(way.product.journal, timeout=20)) as database, database:
        database.execute("UPDATE hooks SET next_try = 0")


def test_it_is_told_of_a_new_mailbox_once_its_tree_is_whole(start: Start, hook: Hook) -> None:
    here = start("hooked")
    assert here.codes("hooked", "hooked") == [250, 250]
    wait_until(lambda: hook.events, 20.0, "the hook", here.product.log)
    (event,) = hook.events
    assert {key: event[key] for key in ("event", "user", "address", "service", "policy")} == {
        "event": "created",
        "user": "hooked",
        "address": "hooked@example.org",
        "service": "lmtp",
        "policy": "everyone",
    }
    assert event["attributes"] == {"cn": ["Joe Doe"]}
    assert {"action": "create", "folder": "Sent", "special_use": "\\Sent", "partition": None} in (
        event["made"]
    )
    assert here.tree("hooked") == WHOLE_TREE
    here.product.wait_for_log("INFO hooked: hook .* succeeded")
    wait_until(lambda: not waiting(here), 10.0, "the end of the hook in the journal")
    assert here.product.run("provision", "hooked").returncode == 0
    assert here.codes("hooked") == [250]
    assert len(hook.events) == 1


def test_one_that_hangs_delays_no_mail_and_is_ended_and_retried(start: Start, hook: Hook) -> None:
    hook.write("sleep 600")
    here = start("hung", "other", policy={"on_created_timeout": 1.0})
    assert here.codes("hung") == [250]
    wait_until(lambda: hook.events, 20.0, "the hook")
    assert here.codes("other") == [250]
    here.product.wait_for_log("ERROR hung: hook .* did not end within 1 s; it will be retried")
    audit = here.product.run("audit").stdout
    assert "unfinished" in audit
    assert "hook of policy everyone" in audit
    assert not here.product.unfinished()
    hook.write("echo here I am")
    make_due(here)
    here.product.wait_for_log("INFO hung: hook .* succeeded: here I am")
    assert [it["user"] for it in hook.events].count("hung") == 2


def test_one_that_fails_is_tried_again_after_a_pause(start: Start, hook: Hook) -> None:
    hook.write("echo no directory >&2; exit 7")
    port = free_port()
    here = start("failing", metrics={"listen": f"127.0.0.1:{port}"})
    assert here.codes("failing") == [250]
    here.product.wait_for_log("ERROR failing: hook .* exited with status 7: no directory")
    wait_until(lambda: waiting(here)[0]["error"], 10.0, "the failure in the journal")
    (row,) = waiting(here)
    assert row["attempts"] == 1
    seen = Scraper(port)()
    assert seen["autocreate_hook_runs_total"] == seen["autocreate_hook_failures_total"] == 1
    assert seen["autocreate_hooks_waiting"] == 1
    hook.write("exit 0")
    make_due(here)
    wait_until(lambda: not waiting(here), 20.0, "the next attempt")
    assert len(hook.events) == 2


def test_the_end_of_the_service_ends_it_and_the_next_start_runs_it_again(
    start: Start, hook: Hook
) -> None:
    hook.write("sleep 600")
    here = start("stopped")
    assert here.codes("stopped") == [250]
    wait_until(lambda: hook.events, 20.0, "the hook")
    here.product.stop()
    assert "was ended, because the service stops" in here.product.log()
    hook.write("exit 0")
    here.product.start()
    wait_until(lambda: not waiting(here), 20.0, "the next attempt", here.product.log)
    assert len(hook.events) == 2


def test_one_that_dies_with_the_service_is_run_again(start: Start, hook: Hook) -> None:
    hook.write("exit 0")
    here = start("killed-hook")
    hook.write("kill -9 $PPID; sleep 600")
    assert here.codes("killed-hook") == [250]
    here.product.wait_for_end()
    hook.write("exit 0")
    make_due(here)
    here.product.start()
    wait_until(lambda: not waiting(here), 20.0, "the next attempt", here.product.log)
    assert len(hook.events) == 2


def test_neither_an_older_mailbox_nor_dry_run_has_one(
    cyrus: Cyrus, start: Start, hook: Hook
) -> None:
    cyrus.create("user/elder")
    here = start("elder", "dreamt")
    assert here.codes("elder") == [250]
    assert not waiting(here)
    here.product.stop()
    here.product.start("--dry-run")
    assert here.codes("dreamt") == [250]
    (seen,) = here.product.seen().values()
    assert json.loads(seen["plan"])["on_created"] == [str(hook.file)]
    assert f"then run {hook.file}" in here.product.run("explain", "dreamt@example.org").stdout
    assert not hook.events


def test_a_command_that_creates_leaves_it_to_the_service(start: Start, hook: Hook) -> None:
    here = start("by-command")
    here.product.stop()
    assert here.product.run("provision", "by-command").returncode == 0
    assert [row["user"] for row in waiting(here)] == ["by-command"]
    assert not hook.events
    here.product.start()
    wait_until(lambda: hook.events, 20.0, "the hook", here.product.log)
