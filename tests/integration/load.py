"""Steady traffic of recipients, from several sessions, while something else happens."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator

from tests.servers.common import HUNG


@contextlib.contextmanager
def load(session: Callable[[int], str], threads: int = 8) -> Iterator[Counter[str]]:
    """Each thread calls `session`, with a new number every time, until the context ends.

    What the sessions return is counted; an error of a session is one of the test. The body begins when the first
    session is through.
    """
    counts: Counter[str] = Counter()
    errors: list[BaseException] = []
    lock, first, stop = threading.Lock(), threading.Event(), threading.Event()

    def run(thread: int) -> None:
        number = thread
        try:
            while not stop.is_set():
                outcome = session(number)
                number += threads
                with lock:
                    counts[outcome] += 1
                first.set()
        except BaseException as error:
            errors.append(error)
            first.set()

    workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        assert first.wait(HUNG)
        yield counts
    finally:
        stop.set()
        for worker in workers:
            worker.join(HUNG)
    assert not any(it.is_alive() for it in workers)
    if errors:
        raise errors[0]
