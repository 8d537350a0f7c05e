"""Channels for messages: a fake, a folder of this machine, PostgreSQL."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from autocreate.backends.local_channel import LocalChannel
from autocreate.backends.postgres_channel import PostgresChannel
from autocreate.backends.sql_drivers import parsed
from autocreate.service.news import Channel
from tests.unit.channel import Bus

from .journals import new_journal

KINDS = ("fake", "local", "postgresql")
Make = Callable[[], Channel]


@contextlib.contextmanager
def channel_maker(kind: str) -> Iterator[Make]:
    """Makes channels that belong together, and closes them.

    Args:
        kind: one of KINDS.
    """
    with contextlib.ExitStack() as closed:

        def kept(channel: Channel) -> Channel:
            closed.callback(channel.close)
            return channel

        if kind == "fake":
            bus = Bus()
            yield lambda: kept(bus.channel())
        elif kind == "local":
            base = closed.enter_context(tempfile.TemporaryDirectory(prefix="autocreate-test-"))
            yield lambda: kept(LocalChannel(Path(base, "journal.db-messages"), 1.0))
        else:
            url = parsed(closed.enter_context(new_journal(kind)))
            yield lambda: kept(PostgresChannel(url, "autocreate", 5.0))


def received(it: Channel, number: int) -> list[str]:
    """So many messages, waited for."""
    found: list[str] = []
    until = time.monotonic() + 60.0
    while len(found) < number and time.monotonic() < until:
        found += it.receive(1.0)
    return found
