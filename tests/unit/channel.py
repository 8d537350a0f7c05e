"""A channel for messages among MTAs, in memory."""

from __future__ import annotations

import queue
from collections.abc import Sequence


class Bus:
    """Passes texts on among its channels. `is_away` ends what they have, and lets none begin."""

    def __init__(self) -> None:
        self.channels: list[FakeChannel] = []
        self.is_away = False

    def channel(self) -> FakeChannel:
        self.channels.append(FakeChannel(self))
        return self.channels[-1]

    def leave(self) -> None:
        self.is_away = True
        for channel in self.channels:
            channel.wake()

    def come_back(self) -> None:
        self.is_away = False


class FakeChannel:
    """See `Channel`."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.texts: queue.Queue[str | None] = queue.Queue()
        self.is_open = False
        self.times_opened = 0

    def open(self) -> None:
        self._require()
        self.is_open = True
        self.times_opened += 1

    def send(self, messages: Sequence[str]) -> None:
        self._require()
        for channel in self.bus.channels:
            if channel.is_open:
                for text in messages:
                    channel.texts.put(text)

    def check(self) -> None:
        self._require()

    def receive(self, timeout: float) -> list[str]:
        self._require()
        try:
            text = self.texts.get(timeout=timeout or 0.001)
        except queue.Empty:
            text = None
        self._require()
        return [] if text is None else [text]

    def wake(self) -> None:
        self.texts.put(None)

    def close(self) -> None:
        self.is_open = False

    def _require(self) -> None:
        if self.bus.is_away:
            raise ConnectionError("the database is away")
