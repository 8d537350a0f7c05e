"""The control socket goes on, whatever the machine runs short of."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from autocreate.frontends.control import Control, answered, ask
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.listener import Listener, listening
from tests.unit.house import House


class Short:
    """A listening socket that has no descriptor left for the first who connects."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._failures = [OSError(errno.EMFILE, "Too many open files")]

    def accept(self) -> Any:
        if self._failures:
            raise self._failures.pop()
        return self._listener.socket.accept()


def test_a_lack_of_descriptors_ends_nothing(tmp_path: Path) -> None:
    place = tmp_path / "control"
    with listening("milter.control", f"unix:{place}", 0o600, None) as listener:
        short: Any = Short(listener)
        Control(Listener(short, is_ours=False)).serve(
            ServiceGate(House(tmp_path).service), lambda error: None
        )
        assert ask(place, "figures")["ready"]["users"] == 0
        listener.stop()


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b'"ask"', b'{"ask": []}', b"[" * 60_000, b'{"ask": "forget", "user": ["joe"]}'],
    ids=lambda line: line[:20].decode(),
)
def test_what_is_no_request_gets_an_error(tmp_path: Path, line: bytes) -> None:
    assert list(answered(line, ServiceGate(House(tmp_path).service))) == ["error"]
