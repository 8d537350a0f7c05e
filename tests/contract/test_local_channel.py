"""A folder with a datagram socket for each process, as messages go by it on one machine."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocreate.backends.local_channel import LocalChannel
from tests.servers.common import pause_all, wait_until

from .channels import received

LISTEN = """
import sys
from pathlib import Path
from autocreate.backends.local_channel import LocalChannel
channel = LocalChannel(Path(sys.argv[1]), 1.0)
channel.open()
print("open", flush=True)
while not (came := channel.receive(60.0)):
    pass
print(*came, flush=True)
sys.stdin.read()
"""
# More than the kernel keeps for a socket that nobody reads (net.unix.max_dgram_qlen).
MANY = 2000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    # Longer than the address of a socket may be.
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    return deep / "messages"


@pytest.fixture
def channel(folder: Path) -> Iterator[LocalChannel]:
    made = LocalChannel(folder, 0.2)
    made.open()
    yield made
    made.close()


@pytest.fixture
def other(channel: LocalChannel, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that listens."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", LISTEN, folder], text=True, **pipes) as process:  # type: ignore[call-overload]
        assert line_of(process) == "open"
        yield process
        process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_other_processes_hear_it_and_others_may_not_look_into_the_folder(
    channel: LocalChannel, other: subprocess.Popen[str], folder: Path
) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    channel.send(["hello"])
    assert line_of(other) == "hello"


def test_the_socket_of_a_process_that_was_killed_is_removed(
    channel: LocalChannel, other: subprocess.Popen[str], folder: Path
) -> None:
    assert len(list(folder.iterdir())) == 2
    other.kill()
    other.wait()
    channel.send(["hello"])
    assert received(channel, 1) == ["hello"]
    assert len(list(folder.iterdir())) == 1


def test_a_process_that_does_not_read_is_an_error_and_the_others_get_everything(
    channel: LocalChannel, other: subprocess.Popen[str], folder: Path
) -> None:
    pause_all(lambda: [other.pid])
    reader = LocalChannel(folder, 0.2)
    reader.open()
    heard: list[str] = []
    failed = ""
    while not failed and len(heard) < MANY:
        failed = failure(channel, str(len(heard)))
        channel.receive(0.0)
        heard += reader.receive(0.0)
    assert failed == f"process {other.pid} does not read them"
    assert heard == list(map(str, range(len(heard))))
    other.send_signal(signal.SIGCONT)
    wait_until(lambda: not failure(channel, "again"), 10.0, "a process that reads again")
    reader.close()


def failure(channel: LocalChannel, text: str) -> str:
    """Why a message did not come to everybody; "" if it did."""
    try:
        channel.send([text])
    except TimeoutError as error:
        return str(error)
    return ""


def test_nothing_but_sockets_is_removed_from_the_folder(
    channel: LocalChannel, folder: Path
) -> None:
    (folder / "kept").write_text("kept")
    channel.send(["hello"])
    assert (folder / "kept").read_text() == "kept"


def test_a_folder_that_was_removed_is_an_error_and_made_again(
    channel: LocalChannel, folder: Path
) -> None:
    for it in folder.iterdir():
        it.unlink()
    folder.rmdir()
    with pytest.raises(OSError, match="No such file"):
        channel.check()
    channel.close()
    channel.open()
    channel.send(["hello"])
    assert received(channel, 1) == ["hello"]


def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "messages").symlink_to(elsewhere)
    made = LocalChannel(tmp_path / "messages", 0.2)
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        made.open()
    made.close()
    assert not list(elsewhere.iterdir())
    assert os.path.islink(tmp_path / "messages")
