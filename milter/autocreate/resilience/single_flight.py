"""One piece of work at a time per key, shared by all who ask for it, each with a timeout.

Work runs in threads of its own, so that a caller can leave at its timeout while the work goes on to
its end: a tree that is half made is best finished. A caller who has nothing else to do works itself.
"""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from autocreate.errors import DeadlinePassed, Temporary
from autocreate.resilience.threads import Threads

T = TypeVar("T")

# Seconds. Work that takes longer hangs, like a read from a lost mount; new work is then started beside it.
_LONGEST = 300.0


class SingleFlight(Generic[T]):
    """Work in progress, by key. Safe to use from several threads.

    Args:
        workers: how many pieces of work run at once. The rest are queued, each for as long as
            somebody waits for it. 0: it runs in the thread of its first caller, who cannot leave.
        before: the one that this takes over from: its work in progress is joined, not started again.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        workers: int,
        before: "SingleFlight[T] | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threads: Threads[_Work[T]] = Threads(_Work.run, workers, "flight")
        self._has_threads = workers > 0
        self._is_closed = False
        self._clock = clock
        self._in_flight: _InFlight[T] = before._in_flight if before else _InFlight()

    def start(self, key: Hashable, work: Callable[[], T], context: object = None) -> "Handle[T]":
        """Join the work in progress for `key`, or start `work` if there is none.

        Args:
            context: what the result of `work` depends on besides the key. Whoever joins it sees it in
                the handle, and may ask again if the result is not for them.

        Raises:
            Temporary: no new work is taken any more.
        """
        in_flight = self._in_flight
        with in_flight.lock:
            now = self._clock()
            running = in_flight.by_key.get(key)
            is_new = running is None or now - running.begun > _LONGEST
            if running is None or is_new:
                running = _Work(work, key, context, now, in_flight)
                try:
                    if self._has_threads:
                        self._threads.start(running)
                    elif self._is_closed:
                        raise RuntimeError("shutting down")
                except RuntimeError as error:
                    raise Temporary(str(error)) from error
                in_flight.by_key[key] = running
            running.waiting += 1
        if is_new and not self._has_threads:
            running.run()
        return Handle(running, is_new)

    def join(self, key: Hashable, work: Callable[[], T], timeout: float) -> T:
        """`start`, and wait for the result. Raises what both do.

        Args:
            timeout: seconds to wait for it.
        """
        return self.start(key, work).result(timeout)

    def __contains__(self, key: Hashable) -> bool:
        """Is there work in progress for `key`?"""
        return key in self._in_flight.by_key

    def waiting(self, key: Hashable) -> int:
        """How many callers wait for the work in progress for `key`."""
        running = self._in_flight.by_key.get(key)
        return running.waiting if running else 0

    def close(self) -> None:
        """Take no new work. What has started ends by itself."""
        self._is_closed = True
        for work in self._threads.close():
            with self._in_flight.lock:
                work.drop()


class _InFlight(Generic[T]):
    """The work in progress, and its lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_key: dict[Hashable, _Work[T]] = {}


class _Work(Generic[T]):
    """A piece of work: queued, running, dropped from the queue, or ended with a result or an error."""

    result: T
    error: BaseException | None = None
    is_running = False
    is_dropped = False

    def __init__(
        self,
        work: Callable[[], T],
        key: Hashable,
        context: object,
        begun: float,
        in_flight: _InFlight[T],
    ) -> None:
        self._work = work
        self._key = key
        self.context = context
        self.begun = begun
        self.in_flight = in_flight
        self.waiting = 0
        # Held until the end. A condition would cost several times as much.
        self._unfinished = threading.Lock()
        self._unfinished.acquire()

    def run(self) -> None:
        """Do it, unless it was dropped."""
        with self.in_flight.lock:
            if self.is_dropped:
                return
            self.is_running = True
        try:
            self.result = self._work()
        except BaseException as error:
            self.error = error
        with self.in_flight.lock:
            self._leave()
        self._unfinished.release()  # at last, for whoever waits then runs in this thread's place

    def drop(self) -> None:
        """Never do it, unless it has begun. The caller has the lock."""
        if not self.is_running and not self.is_dropped:
            self.is_dropped = True
            self._leave()
            self._unfinished.release()

    def wait(self, timeout: float) -> bool:
        """Wait for so many seconds, and say whether it has ended or was dropped."""
        if not self._unfinished.acquire(timeout=max(0.0, timeout)):
            return False
        self._unfinished.release()  # for the next who waits
        return True

    def _leave(self) -> None:
        if self.in_flight.by_key.get(self._key) is self:
            del self.in_flight.by_key[self._key]


class Handle(Generic[T]):
    """A caller's share in a piece of work. Queued work is dropped when every share is given up.

    Args:
        is_first: this caller's `work` was started; others joined work in progress.
    """

    def __init__(self, work: _Work[T], is_first: bool) -> None:
        self._work = work
        self._is_waiting = True
        self.is_first = is_first

    @property
    def context(self) -> object:
        """What the first caller gave to `SingleFlight.start`."""
        return self._work.context

    def result(self, timeout: float) -> T:
        """The result, waited for. The share is given up with the first call.

        Args:
            timeout: seconds.

        Raises:
            DeadlinePassed: it takes longer. Work that has started goes on.
            Temporary: no work is started any more.
            Exception: whatever the work raises, to everyone who waits for it.
        """
        work = self._work
        has_ended = work.wait(timeout)
        was_waiting = self._give_up()
        if not has_ended:
            raise DeadlinePassed(f"no result within {timeout:.1f} s; the work continues")
        if work.is_dropped:
            if not was_waiting:
                raise DeadlinePassed("nobody waited for it, and it was not started")
            raise Temporary("shutting down")
        if work.error is not None:
            raise work.error
        return work.result

    def _give_up(self) -> bool:
        """Give this share up. False if it was given up before."""
        work = self._work
        with work.in_flight.lock:
            if not self._is_waiting:
                return False
            self._is_waiting = False
            work.waiting -= 1
            if not work.waiting:
                work.drop()  # no effect once it has started
            return True
