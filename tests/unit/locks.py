"""Locks among processes, in memory; the contract of `tests/contract/test_locks.py` holds for them."""

from __future__ import annotations

import threading


class FakeServer:
    """Keeps which session holds each lock, and how often it took it."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[object, int]] = {}
        self._lock = threading.Condition()

    def take(self, session: object, name: str) -> bool:
        with self._lock:
            holder, times = self._held.get(name, (session, 0))
            if holder is not session:
                return False
            self._held[name] = session, times + 1
            return True

    def release(self, session: object, name: str) -> bool:
        with self._lock:
            holder, times = self._held.get(name, (None, 0))
            if holder is not session:
                return False
            if times == 1:
                del self._held[name]
            else:
                self._held[name] = session, times - 1
            self._lock.notify_all()
            return True

    def end(self, session: object) -> None:
        with self._lock:
            self._held = {name: it for name, it in self._held.items() if it[0] is not session}
            self._lock.notify_all()

    def wait_for_release(self, seconds: float) -> None:
        """Wait until some lock is given up, and no longer than this."""
        with self._lock:
            self._lock.wait(seconds)


class FakeSession:
    """A session at a fake server. See `Locks`."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    def take(self, name: str) -> bool:
        return self._server.take(self, name)

    def release(self, name: str) -> bool:
        return self._server.release(self, name)

    def close(self) -> None:
        """What the kernel does for a process that is killed."""
        self._server.end(self)
