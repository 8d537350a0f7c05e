"""One piece of work at a time per key, shared by all who ask for it, each with a deadline.

Work runs in threads of its own, so that a caller can leave at its deadline while the work goes on
to its end: a tree that is half made is best finished.
"""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from autocreate.errors import DeadlinePassed, Temporary

T = TypeVar("T")

# Seconds. Work that takes longer hangs, as a read from a mount that is gone, and is begun anew beside it.
_LONGEST = 300.0


class SingleFlight(Generic[T]):
    """Work in progress, by key.

    Args:
        workers: how many pieces of work run at once. The rest wait in line, each no longer than
            somebody waits for it.
        before: what these take over from, whose work in progress is not begun anew.
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
        # Reentrant: a future that is cancelled, or done already, calls `_land` on the spot.
        self._lock = threading.RLock()
        self._aloft: dict[Hashable, _Flight[T]] = {}
        if before:
            self._lock, self._aloft = before._lock, before._aloft

    def join(self, key: Hashable, work: Callable[[], T], timeout: float) -> T:
        """The result of the work in progress for `key`, or of `work`, begun now if there is none.

        Args:
            timeout: seconds to wait for it.

        Raises:
            DeadlinePassed: it takes longer. Work that has begun goes on.
            Temporary: no new work is taken any more.
            Exception: whatever the work raises, to everyone who waits for it.
        """
        return self.board(key, work)(timeout)

    def board(self, key: Hashable, work: Callable[[], T]) -> Callable[[float], T]:
        """`join` in two steps, to wait for several keys at once: begin, and wait for the result.

        What is returned takes the timeout, and must be called once.

        Raises:
            Temporary: no new work is taken any more.
        """
        flight = self._board(key, work)
        return lambda timeout: self._result(flight, timeout)

    def close(self) -> None:
        """Take no new work. What has begun ends by itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _board(self, key: Hashable, work: Callable[[], T]) -> "_Flight[T]":
        with self._lock:
            now = self._clock()
            flight = self._aloft.get(key)
            if flight is None or now - flight.begun > _LONGEST:
                try:
                    flight = self._aloft[key] = _Flight(self._executor.submit(work), now)
                except RuntimeError as error:
                    raise Temporary("shutting down") from error
                flight.future.add_done_callback(lambda future: self._land(key, future))
            flight.waiting += 1
            return flight

    def _result(self, flight: "_Flight[T]", timeout: float) -> T:
        try:
            return flight.future.result(timeout)
        except CancelledError as error:
            raise Temporary("shutting down") from error
        except TimeoutError as error:
            if flight.has_raised(error):
                raise
            raise DeadlinePassed(f"no result within {timeout:.1f} s; the work goes on") from error
        finally:
            self._leave(flight)

    def _land(self, key: Hashable, future: "Future[T]") -> None:
        with self._lock:
            flight = self._aloft.get(key)
            if flight and flight.future is future:
                del self._aloft[key]

    def _leave(self, flight: "_Flight[T]") -> None:
        with self._lock:
            flight.waiting -= 1
            if not flight.waiting:
                flight.future.cancel()  # no effect once it has begun


class _Flight(Generic[T]):
    def __init__(self, future: "Future[T]", begun: float) -> None:
        self.future = future
        self.begun = begun
        self.waiting = 0

    def has_raised(self, error: BaseException) -> bool:
        """Is it the work's own error, such as a server's timeout, and not the wait's?"""
        ended = self.future.done() and not self.future.cancelled()
        return ended and self.future.exception() is error
