"""Further processes: started, started again, and ended."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autocreate.frontends import processes as module
from autocreate.frontends.processes import Further, FurtherProcesses
from tests.servers.common import wait_until

# A further process: notes its word, its environment and that it inherits both descriptors.
NOTE = """
import os, sys
number, listener, life = sys.argv[-1].split(":")
os.fstat(int(listener)), os.fstat(int(life))
with open(sys.argv[1] + "/" + number, "a") as notes:
    print(os.getpid(), os.getpgid(0), "NOTIFY_SOCKET" in os.environ, file=notes)
"""
STAY = NOTE + "import signal\nsignal.pause()\n"
FAIL = NOTE + "sys.exit(78)\n"

Make = Callable[[str, int], FurtherProcesses]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes processes that run a program, which notes its starts in the folder."""
    monkeypatch.setattr(module, "_interpreter", lambda: [sys.executable])
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.01)
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    made: list[FurtherProcesses] = []
    listener = os.open("/dev/null", os.O_RDONLY)

    def new(program: str, count: int) -> FurtherProcesses:
        made.append(FurtherProcesses(count, ["-c", program, str(tmp_path)], listener))
        made[-1].start()
        return made[-1]

    yield new
    for it in made:
        it.stop()
        assert it.wait(30.0)
    os.close(listener)


def starts(folder: Path, number: int) -> list[list[str]]:
    """What a process noted at each of its starts."""
    notes = folder / str(number)
    return [it.split() for it in notes.read_text().splitlines()] if notes.exists() else []


def test_each_has_a_number_the_descriptors_and_a_process_group_of_its_own(
    make: Make, tmp_path: Path
) -> None:
    make(STAY, 2)
    wait_until(lambda: starts(tmp_path, 1) and starts(tmp_path, 2), 30.0, "both")
    for number in (1, 2):
        ((pid, group, is_told),) = starts(tmp_path, number)
        assert pid == group
        assert is_told == "False"  # systemd hears of the first one alone


def test_one_that_ends_is_started_again_ever_later(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(FAIL, 1)
    wait_until(lambda: len(starts(tmp_path, 1)) >= 3, 30.0, "three starts")
    wait_until(lambda: len(caplog.messages) >= 3, 30.0, "three lines")
    assert caplog.messages[:3] == [
        f"further process 1 ended with status 78; after {pause} s it is started again"
        for pause in ("0.01", "0.02", "0.04")
    ]


def test_one_that_is_killed_is_named_with_the_signal(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(STAY, 1)
    wait_until(lambda: starts(tmp_path, 1), 30.0, "its start")
    os.kill(int(starts(tmp_path, 1)[0][0]), signal.SIGKILL)
    wait_until(lambda: len(starts(tmp_path, 1)) == 2, 30.0, "the next one")
    assert caplog.messages == [
        "further process 1 was ended by SIGKILL; after 0.01 s it is started again"
    ]


def test_a_program_that_is_gone_is_tried_again(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_interpreter", lambda: ["/nonexistent/python"])
    make(STAY, 1)
    wait_until(lambda: len(caplog.messages) >= 2, 30.0, "two attempts")
    assert "further process 1 cannot be started: No such file or directory" in caplog.messages[0]


def test_all_end_when_they_are_told_and_none_is_started_again(make: Make, tmp_path: Path) -> None:
    further = make(STAY, 3)
    wait_until(lambda: all(starts(tmp_path, it) for it in (1, 2, 3)), 30.0, "all")
    further.stop()
    assert further.wait(30.0)
    assert [len(starts(tmp_path, it)) for it in (1, 2, 3)] == [1, 1, 1]


def test_an_end_with_the_first_one_is_no_error(
    make: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 30.0)
    further = make(STAY, 1)
    wait_until(lambda: starts(tmp_path, 1), 30.0, "its start")
    pid = int(starts(tmp_path, 1)[0][0])
    os.kill(pid, signal.SIGTERM)  # as systemd sends it to all processes of a service
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 30.0, "its end")
    further.stop()
    assert further.wait(30.0)
    assert not caplog.messages


def test_none_are_none() -> None:
    further = FurtherProcesses()
    further.start()
    further.signal(signal.SIGHUP)
    further.stop()
    assert further.wait(0.0)


def test_a_word_is_read_as_it_was_written() -> None:
    assert Further.parsed(str(Further(2, 5, 7))) == Further(2, 5, 7)
    for word in ("", "1", "1:2", "1:2:3:4", "a:b:c"):
        with pytest.raises(ValueError, match=r"."):
            Further.parsed(word)
