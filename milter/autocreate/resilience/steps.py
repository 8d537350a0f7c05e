"""Work in steps: a generator that yields what it waits for, so that one thread can do much at once.

Whoever runs it goes on with it when that has come. It must do nothing between two steps that could take
long, unless it has yielded BLOCKING before.
"""

import select
import socket
import time
from collections.abc import Callable, Generator
from enum import Enum
from typing import NamedTuple, TypeVar

T = TypeVar("T")

# Seconds until what waits for its turn is tried again, if nothing has ended before.
AGAIN = 0.02


class Readable(NamedTuple):
    """Something to read from a socket, or its end. It may turn out that there is nothing yet.

    Args:
        until: when the wait ends, on the monotonic clock: TimeoutError is raised at the `yield`.
        is_idle: it is for the client that the conversation is with, and nothing is being worked on. Such a
            wait may be ended at any time, by GeneratorExit.
    """

    socket: socket.socket
    until: float
    is_idle: bool = False


class Turn(Enum):
    """A wait for something else than a socket."""

    BLOCKING = "a thread that may wait for as long as it takes"
    LATER = "another that ends, for there are too many at once"


BLOCKING = Turn.BLOCKING
LATER = Turn.LATER

Steps = Generator[Readable | Turn, None, T]


def arrived(connection: socket.socket, until: float, receive: Callable[[], T]) -> Steps[T]:
    """What a client has sent, once there is something: what `receive` returns.

    Args:
        receive: raises BlockingIOError as long as there is nothing.

    Raises:
        TimeoutError: there is nothing yet at `until`, on the monotonic clock.
    """
    while True:
        try:
            return receive()
        except BlockingIOError:
            yield Readable(connection, until, is_idle=True)


def run(steps: Steps[T]) -> T:
    """Do all steps, waiting as long as each says. Raises whatever they raise."""
    try:
        wanted = next(steps)
        while True:
            if isinstance(wanted, Readable) and not _comes(wanted):
                wanted = steps.throw(TimeoutError())
                continue
            if wanted is LATER:
                time.sleep(AGAIN)
            wanted = next(steps)
    except StopIteration as end:
        result: T = end.value
        return result


def _comes(wanted: Readable) -> bool:
    waiting = select.poll()
    waiting.register(wanted.socket, select.POLLIN)
    return bool(waiting.poll(max(0.0, wanted.until - time.monotonic()) * 1000))
