"""One piece of work at a time per key, shared by all who ask for it, each with a timeout.

Work runs in threads of its own, so that a caller can leave at its timeout while the work goes on to
its end: a tree that is half made is best finished.
"""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from autocreate.errors import DeadlinePassed, Temporary

T = TypeVar("T")

# Seconds. Work that takes longer hangs, like a read from a lost mount; new work is then started beside it.
_LONGEST = 300.0


class SingleFlight(Generic[T]):
    """Work in progress, by key. Safe to use from several threads.

    Args:
        workers: how many pieces of work run at once. The rest are queued, each for as long as
            somebody waits for it.
        before: the one that this takes over from: its work in progress is joined, not started again.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        workers: int,
        before: "SingleFlight[T] | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="flight")
        self._clock = clock
        # Reentrant: a future that is cancelled, or done already, calls `_done` on the spot.
        self._lock = threading.RLock()
        self._in_flight: dict[Hashable, _Work[T]] = {}
        if before:
            self._lock, self._in_flight = before._lock, before._in_flight

    def start(self, key: Hashable, work: Callable[[], T], context: object = None) -> "Handle[T]":
        """Join the work in progress for `key`, or start `work` if there is none.

        Args:
            context: what the result of `work` depends on besides the key. Whoever joins it sees it in
                the handle, and may ask again if the result is not for them.

        Raises:
            Temporary: no new work is taken any more.
        """
        with self._lock:
            now = self._clock()
            running = self._in_flight.get(key)
            is_new = running is None or now - running.begun > _LONGEST
            if running is None or is_new:
                try:
                    future = self._executor.submit(work)
                except RuntimeError as error:
                    raise Temporary("shutting down") from error
                running = self._in_flight[key] = _Work(future, context, now)
                future.add_done_callback(lambda future: self._done(key, future))
            running.waiting += 1
            return Handle(running, is_new, self._lock)

    def join(self, key: Hashable, work: Callable[[], T], timeout: float) -> T:
        """`start`, and wait for the result. Raises what both do.

        Args:
            timeout: seconds to wait for it.
        """
        return self.start(key, work).result(timeout)

    def waiting(self, key: Hashable) -> int:
        """How many callers wait for the work in progress for `key`."""
        running = self._in_flight.get(key)
        return running.waiting if running else 0

    def close(self) -> None:
        """Take no new work. What has started ends by itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _done(self, key: Hashable, future: "Future[T]") -> None:
        with self._lock:
            running = self._in_flight.get(key)
            if running and running.future is future:
                del self._in_flight[key]


class _Work(Generic[T]):
    """A piece of work, queued or running."""

    def __init__(self, future: "Future[T]", context: object, begun: float) -> None:
        self.future = future
        self.context = context
        self.begun = begun
        self.waiting = 0

    def has_raised(self, error: BaseException) -> bool:
        """Is it the work's own error, such as a server's timeout, and not the wait's?"""
        ended = self.future.done() and not self.future.cancelled()
        return ended and self.future.exception() is error


class Handle(Generic[T]):
    """A caller's share in a piece of work. Queued work is dropped when every share is given up.

    Args:
        is_first: this caller's `work` was started; others joined work in progress.
    """

    def __init__(self, work: _Work[T], is_first: bool, lock: threading.RLock) -> None:
        self._work = work
        self._lock = lock
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
        try:
            return work.future.result(timeout)
        except CancelledError as error:
            if not self._is_waiting:
                raise DeadlinePassed("nobody waited for it, and it was not started") from error
            raise Temporary("shutting down") from error
        except TimeoutError as error:
            if work.has_raised(error):
                raise
            raise DeadlinePassed(f"no result within {timeout:.1f} s; the work continues") from error
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            if self._is_waiting:
                self._is_waiting = False
                self._work.waiting -= 1
                if not self._work.waiting:
                    self._work.future.cancel()  # no effect once it has started
