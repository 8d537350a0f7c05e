"""The control socket goes on, whatever the machine runs short of, and whoever asks slowly."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from autocreate.errors import Temporary
from autocreate.frontends import control, control_client
from autocreate.frontends.control import Control, answered
from autocreate.frontends.control_client import ask
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.listener import Listener, listening
from tests.servers.common import wait_until_disconnected
from tests.servers.scripted import ScriptedServer
from tests.unit.house import House


class Short:
    """A listening socket that has no descriptor left for the first who connects."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._failures = [OSError(errno.EMFILE, "Too many open files")]

    def fileno(self) -> int:
        return self._listener.fileno()

    def accept(self) -> Any:
        if self._failures:
            raise self._failures.pop()
        return self._listener.socket.accept()


@contextmanager
def serving(folder: Path) -> Iterator[Path]:
    place = folder / "control"
    with listening("milter.control", f"unix:{place}", 0o600, None) as listener:
        server = Control(listener)
        server.serve(ServiceGate(House(folder).service), lambda error: None)
        yield place
        server.stop()


def test_a_lack_of_descriptors_ends_nothing(tmp_path: Path) -> None:
    place = tmp_path / "control"
    with listening("milter.control", f"unix:{place}", 0o600, None) as listener:
        short: Any = Short(listener)
        server = Control(Listener(short, is_ours=False))
        server.serve(ServiceGate(House(tmp_path).service), lambda error: None)
        assert ask(place, "figures")["ready"]["users"] == 0
        listener.stop()


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b'"ask"', b'{"ask": []}', b"[" * 60_000, b'{"ask": "forget", "user": ["joe"]}'],
    ids=lambda line: line[:20].decode(),
)
def test_what_is_no_request_gets_an_error(tmp_path: Path, line: bytes) -> None:
    assert list(answered(line, ServiceGate(House(tmp_path).service))) == ["error"]


def test_who_asks_slowly_holds_up_nobody(tmp_path: Path) -> None:
    with serving(tmp_path) as place, socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(place))
        slow.sendall(b"{")
        begun = time.monotonic()
        assert ask(place, "figures")["ready"]["users"] == 0
        assert time.monotonic() - begun < control_client.TIMEOUT


def test_a_request_that_comes_byte_by_byte_has_one_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "TIMEOUT", 0.5)
    with serving(tmp_path) as place, socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(place))
        wait_until_disconnected(slow, b"{")


class Dripping(ScriptedServer):
    """A control socket that never ends its answer."""

    def serve(self, client: socket.socket) -> None:
        self.send(client, b" " * 10_000, 0.02)


def test_an_answer_that_drips_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_client, "TIMEOUT", 0.3)
    place = tmp_path / "control"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        with Dripping(listener):
            began = time.monotonic()
            with pytest.raises(Temporary, match=r"too long|timed out"):
                ask(place, "figures")
            assert time.monotonic() - began < 60.0
