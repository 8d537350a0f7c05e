"""Waits for a descriptor, and can be woken by another thread (eventfd(2))."""

import contextlib
import os
import select
import weakref


class Waker:
    """For one thread that waits; any thread may wake it."""

    def __init__(self) -> None:
        self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        weakref.finalize(self, os.close, self._event)

    def wait(self, descriptor: int, timeout: float) -> bool:
        """Wait until the descriptor can be read, `timeout` seconds at most. False if it cannot."""
        waiting = select.poll()
        waiting.register(self._event, select.POLLIN)
        waiting.register(descriptor, select.POLLIN)
        ready = {it for it, _ in waiting.poll(timeout * 1000)}
        if self._event in ready:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._event)
        return descriptor in ready

    def wake(self) -> None:
        """End a `wait`, or the next one."""
        with contextlib.suppress(BlockingIOError):  # it is awake anyway
            os.eventfd_write(self._event, 1)
