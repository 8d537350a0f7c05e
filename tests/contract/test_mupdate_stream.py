"""What is remembered follows the master's stream, and an interruption is known as one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from autocreate.murder.stream import Stream
from autocreate.murder.wire import Mupdate
from tests.contract.test_mupdate import fake_server
from tests.servers.common import wait_until
from tests.servers.mupdate import FakeMaster


class Memory:
    """Hears what the stream tells."""

    def __init__(self) -> None:
        self.gone: list[str] = []
        self.interruptions = 0


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def master() -> Iterator[FakeMaster]:
    with FakeMaster() as server:
        server.put("user.joe", "b1!default")
        server.put("user.kim", "b1!default")
        yield server


@contextlib.contextmanager
def followed(master: FakeMaster, memory: Memory) -> Iterator[Stream]:
    def interrupted() -> None:
        memory.interruptions += 1

    connect = partial(Mupdate, fake_server(master))
    with contextlib.closing(Stream(connect, memory.gone.append, interrupted)) as stream:
        yield stream
    assert "mupdate-stream" not in {thread.name for thread in threading.enumerate()}


def test_it_tells_of_deletions_and_of_what_is_moved_and_of_nothing_else(
    master: FakeMaster, memory: Memory
) -> None:
    with followed(master, memory) as stream:
        wait_until(lambda: stream.in_step, 10.0, "the stream")
        assert memory.interruptions == 1
        master.put("user.new", "b1!default")
        master.remove("user.joe.Sent")
        master.remove("user.joe")
        master.reserve("user.kim", "b2!default")
        master.put("user.kim", "b2!default")
        wait_until(lambda: "kim" in memory.gone, 10.0, "kim's move")
        assert set(memory.gone) == {"joe", "kim"}


def test_after_an_interruption_anything_may_have_changed(
    master: FakeMaster, memory: Memory
) -> None:
    with followed(master, memory) as stream:
        wait_until(lambda: stream.in_step, 10.0, "the stream")
        master.answer = b'* BYE "no longer ready"\r\n'
        wait_until(lambda: not stream.in_step, 10.0, "the end of the stream")
        master.answer = b""
        wait_until(lambda: stream.in_step, 20.0, "the stream again")
        assert memory.interruptions == 2


def test_a_master_that_falls_silent_is_noticed(master: FakeMaster, memory: Memory) -> None:
    with followed(master, memory) as stream:
        wait_until(lambda: stream.in_step, 10.0, "the stream")
        master.is_silent = True
        wait_until(lambda: not stream.in_step, 10.0, "the end of the stream")
