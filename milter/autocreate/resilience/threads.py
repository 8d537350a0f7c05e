"""Threads that are kept for the next piece of work. The one that was idle last is taken first.

`concurrent.futures` hands work to any of its threads, by a queue, and tells of its end by a condition. Here a thread
waits for its own next piece: that changes threads less often, and to one whose memory is still in the processor's
cache (docs/decisions/0059).
"""

import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

W = TypeVar("W")

# Seconds after which an idle thread ends. Python waits so long at its exit for threads that nobody has closed.
_IDLE = 10.0


class Threads(Generic[W]):
    """Runs pieces of work, each in a thread.

    Args:
        run: does a piece of work. Never raises.
        most: how many threads. Further pieces of work are queued.
        name: of the threads.
        idle: seconds after which an idle thread ends.
    """

    def __init__(self, run: Callable[[W], None], most: int, name: str, idle: float = _IDLE) -> None:
        self._run = run
        self._most = most
        self._name = name
        self._keep = idle
        self._lock = threading.Lock()
        self._count = 0
        self._idle: list[SimpleQueue[W | None]] = []
        self._queued: deque[W] = deque()
        self._is_closed = False

    def start(self, work: W) -> None:
        """Run a piece of work as soon as there is a thread for it.

        Raises:
            RuntimeError: these threads are closed, or there can be none.
        """
        with self._lock:
            if self._is_closed:
                raise RuntimeError("shutting down")
            if self._idle:
                self._idle.pop().put(work)
            elif self._count == self._most or not self._starts_thread(work):
                self._queued.append(work)

    def close(self) -> list[W]:
        """Let each thread end after its present work. Returns what was queued."""
        with self._lock:
            self._is_closed = True
            while self._idle:
                self._idle.pop().put(None)
            queued = list(self._queued)
            self._queued.clear()
            return queued

    def _starts_thread(self, work: W) -> bool:
        """Start a thread with its first work. False if there can be no more threads than there are."""
        try:
            threading.Thread(target=self._serve, args=(work,), name=self._name).start()
        except RuntimeError:
            if not self._count:
                raise
            return False
        self._count += 1
        return True

    def _serve(self, first: W) -> None:
        handed: SimpleQueue[W | None] = SimpleQueue()
        work: W | None = first
        while work is not None:
            self._run(work)
            with self._lock:
                if self._queued:
                    work = self._queued.popleft()
                    continue
                if self._is_closed:
                    return
                self._idle.append(handed)
            work = self._next(handed)

    def _next(self, handed: "SimpleQueue[W | None]") -> W | None:
        """What was handed to an idle thread; None: it ends."""
        try:
            return handed.get(timeout=self._keep)
        except Empty:
            with self._lock:
                if handed in self._idle:
                    self._idle.remove(handed)
                    self._count -= 1
                    return None
            return handed.get()  # at the last moment
