"""A hook as a process: what it gets, how it ends, and what is kept of what it says."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from autocreate.backends.message_file import read_message
from autocreate.core.placeholders import OWN
from autocreate.service.hook_program import HookResult, run
from autocreate.tree.values import Hook
from tests.servers.common import wait_until

CONTRIB = Path(__file__).parents[3] / "contrib/welcome"

Make = Callable[..., Hook]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A hook that is a shell script."""

    def make(script: str, *arguments: str, timeout: float = 20.0) -> Hook:
        file = tmp_path / "hook"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return Hook((str(file), *arguments), timeout)

    return make


def done(hook: Hook, event: str = "{}", stopping: threading.Event | None = None) -> HookResult:
    return run(hook, event, stopping or threading.Event())


def test_it_reads_its_event_on_standard_input(make: Make) -> None:
    assert done(make('read -r event; echo "$event, $1"', "an argument"), '{"user": "joe"}') == (
        HookResult("", '{"user": "joe"}, an argument')
    )


def test_it_need_not_read(make: Make) -> None:
    assert done(make("exit 0"), "x" * 1_000_000).error == ""


def test_it_has_a_clean_environment_and_no_descriptor_of_ours(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of ours")
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)
    try:
        told = done(make("env; ls /proc/$$/fd; pwd"))
    finally:
        os.close(reader)
        os.close(writer)
    assert "SECRET" not in told.output
    assert "LANG=C.UTF-8" in told.output
    assert f" {reader} " not in told.output.replace("\n", " ")
    assert told.output.endswith(" /")


def test_a_failure_is_told_with_the_beginning_of_its_output_on_one_line(make: Make) -> None:
    hook = make("echo one; printf 'two\\033[31m\\377\\n' >&2; exit 3")
    assert done(hook).error == f"{hook.argv[0]} exited with status 3: one two\\x1b[31m\ufffd"


def test_output_without_end_is_thrown_away(make: Make) -> None:
    told = done(make("head -c 3000000 /dev/zero | tr '\\0' x"))
    assert told == HookResult("", "x" * 2000)


def test_a_signal_is_told(make: Make) -> None:
    hook = make("kill -9 $$")
    assert done(hook).error == f"{hook.argv[0]} was ended by signal 9"


def test_one_that_cannot_be_run_is_told(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    assert done(Hook((missing,))).error.startswith(f"{missing} cannot be run: ")


def test_at_its_time_limit_its_whole_group_is_ended(make: Make, tmp_path: Path) -> None:
    hook = make(
        f"trap '' TERM; sleep 600 & echo $! > {tmp_path}/child; echo stuck; wait", timeout=0.5
    )
    begun = time.monotonic()
    assert done(hook).error == f"{hook.argv[0]} did not end within 0.5 s: stuck"
    assert time.monotonic() - begun < 15
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not _runs(child), 10.0, "the end of the hook's own process")


def test_one_that_closes_its_output_and_goes_on_is_ended_too(make: Make) -> None:
    hook = make("exec >&- 2>&-; sleep 600", timeout=0.3)
    assert "did not end within 0.3 s" in done(hook).error


def test_a_service_that_stops_ends_it(make: Make) -> None:
    stopping = threading.Event()
    threading.Timer(0.2, stopping.set).start()
    told = done(make("sleep 600"), stopping=stopping)
    assert told.is_stopped
    assert told.error.endswith("was ended, because the service stops")


def test_a_service_that_stops_begins_none(make: Make, tmp_path: Path) -> None:
    stopping = threading.Event()
    stopping.set()
    assert done(make(f"touch {tmp_path}/begun"), stopping=stopping).is_stopped
    assert not (tmp_path / "begun").exists()


def test_what_it_leaves_in_the_background_does_not_hold_us_up(make: Make, tmp_path: Path) -> None:
    child = tmp_path / "child"
    begun = time.monotonic()
    try:
        assert done(make(f"sleep 60 & echo $! > {child}; echo begun")) == HookResult("", "begun")
    finally:
        os.kill(int(child.read_text()), signal.SIGKILL)
    assert time.monotonic() - begun < 30.0


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_the_example_says_what_was_made() -> None:
    event = {
        "user": "joe",
        "address": "joe@example.org",
        "made": [{"action": "create", "folder": "INBOX"}, {"action": "welcome"}],
    }
    assert done(Hook((str(CONTRIB / "hook"),)), json.dumps(event)) == HookResult("", "1 folders")


def test_the_example_of_a_message_needs_no_attribute() -> None:
    assert set(read_message(CONTRIB / "welcome.eml").names) <= OWN
