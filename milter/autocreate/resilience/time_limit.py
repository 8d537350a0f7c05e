"""Time limits on calls into code that knows none, such as the C library's look-ups of users."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from autocreate.errors import PoolExhausted, ServerTimeout

T = TypeVar("T")


class TimeLimit:
    """A few threads of its own for such calls, and patience that ends.

    A call that hangs keeps its thread, and what it says in the end nobody hears. As soon as all
    threads hang no call is begun, until one of them comes back.

    Args:
        what: is asked, for the errors: "the system".
        threads: how many calls run at once. The rest wait in line.
        seconds: how long each caller waits, in line and for the answer together.
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
            ServerTimeout: it takes longer, or so much hangs that it was not begun.
            PoolExhausted: it was not begun in time, though not all that is under way hangs.
            Exception: whatever `work` raises.
        """
        if len(self._hanging) >= self._threads:
            raise ServerTimeout(
                f"{self._what} gave no answer to {self._threads} questions, and hangs"
            )
        try:
            future = self._executor.submit(work)
        except RuntimeError:
            # Closed. Who asks now has begun before, in a thread that nobody else is going to need.
            return work()
        try:
            return future.result(self._seconds)
        except TimeoutError as error:
            if future.cancel():
                busy = f"{self._what} is still busy with {self._threads} other questions"
                raise PoolExhausted(f"{busy} after {self._seconds:g} s") from error
            if future.done():
                return future.result()  # at the last moment, or it raised what looks like our own
            self._hanging.add(future)
            future.add_done_callback(self._hanging.discard)
            raise ServerTimeout(
                f"{self._what} gave no answer within {self._seconds:g} s"
            ) from error

    def close(self) -> None:
        """Let the threads end, each with what it does now."""
        self._executor.shutdown(wait=False)
