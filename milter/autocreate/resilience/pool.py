"""A bounded set of connections, shared by threads. It knows nothing of what runs over them."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from autocreate.errors import PoolExhausted, Refused, ServerTimeout, Unreachable


class Connection(Protocol):
    @property
    def is_spent(self) -> bool:
        """Is it of no further use, though nothing went wrong?"""

    def close(self) -> None: ...
    def discard(self) -> None: ...


C = TypeVar("C", bound=Connection)
T = TypeVar("T")


class Pool(Generic[C]):
    """Lends connections, the most recently used first.

    Args:
        connect: makes a new connection, ready for use.
        size: how many may be open at once.
        wait: seconds that a caller waits for one.
    """

    def __init__(self, connect: Callable[[], C], size: int, wait: float) -> None:
        self._connect = connect
        self._wait = wait
        self._free = threading.BoundedSemaphore(size)
        self._idle: deque[C] = deque()
        self._is_closed = False
        self._size = size
        self._lock = threading.Lock()
        self._busy = 0

    def run(self, work: Callable[[C], T]) -> T:
        """Run `work` on a connection.

        A server that was restarted has dropped the idle connections, which shows only at the first
        command: then, and only then, `work` is run once more on a new one. So it must be such that
        running it twice does no harm.

        Raises:
            PoolExhausted: no connection became free in time.
            Exception: whatever `work` or `connect` raises.
        """
        deadline = time.monotonic() + self._wait
        if not self._free.acquire(timeout=self._wait):
            raise PoolExhausted(f"all {self._size} connections are busy for {self._wait:g} s")
        self._count(1)
        try:
            while connection := self._take():
                try:
                    return self._use(connection, work)
                except ServerTimeout:
                    raise
                except Unreachable:
                    self._drop_idle()
                    if time.monotonic() > deadline:
                        raise
            return self._use(self._connect(), work)
        finally:
            self._count(-1)
            self._free.release()

    def snapshot(self) -> dict[str, int]:
        """How many connections are `busy`, how many `idle`, and how many may be open (`size`)."""
        return {"busy": self._busy, "idle": len(self._idle), "size": self._size}

    def close(self) -> None:
        """Close what is idle now, and what is in use when it is given back."""
        self._is_closed = True
        while connection := self._take():
            connection.close()

    def _count(self, change: int) -> None:
        with self._lock:
            self._busy += change

    def _use(self, connection: C, work: Callable[[C], T]) -> T:
        try:
            result = work(connection)
        except Refused:
            self._give_back(connection)  # a no is a proper answer
            raise
        except BaseException:
            connection.discard()
            raise
        self._give_back(connection)
        return result

    def _give_back(self, connection: C) -> None:
        if self._is_closed or connection.is_spent:
            connection.close()
        else:
            self._idle.append(connection)

    def _take(self) -> C | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _drop_idle(self) -> None:
        while connection := self._take():
            connection.discard()
