"""Time limits on calls into code that has none, such as the C library's look-ups of users."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from autocreate.errors import PoolExhausted, ServerTimeout

T = TypeVar("T")


class TimeLimit:
    """A few threads of its own for such calls, and a timeout.

    A call that hangs keeps its thread, and its result is lost. While all threads hang no call is
    started.

    Args:
        what: what is called, for the errors: "the system".
        threads: how many calls run at once. The rest are queued.
        seconds: how long each caller waits, in the queue and for the answer together.
    """

    def __init__(self, what: str, threads: int, seconds: float) -> None:
        self._what = what
        self._threads = threads
        self._seconds = seconds
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="limited")
        self._hanging: set[Future[Any]] = set()

    def run(self, work: Callable[[], T]) -> T:
        """The result of `work`.

        Raises:
            ServerTimeout: it takes longer, or was not started because all threads hang.
            PoolExhausted: it was not started in time, though not all threads hang.
            Exception: whatever `work` raises.
        """
        if len(self._hanging) >= self._threads:
            raise ServerTimeout(f"{self._what} hangs: {self._threads} calls have not returned")
        try:
            future = self._executor.submit(work)
        except RuntimeError:
            # Closed. This caller started before, in a thread that nobody else is going to need.
            return work()
        try:
            return future.result(self._seconds)
        except TimeoutError as error:
            if future.cancel():
                busy = f"{self._what} is still busy with {self._threads} other calls"
                raise PoolExhausted(f"{busy} after {self._seconds:g} s") from error
            if future.done():
                return future.result()  # at the last moment, or it raised what looks like our own
            self._hanging.add(future)
            future.add_done_callback(self._hanging.discard)
            raise ServerTimeout(
                f"{self._what} did not answer within {self._seconds:g} s"
            ) from error

    def close(self) -> None:
        """Let the threads end, each after its present call."""
        self._executor.shutdown(wait=False)
