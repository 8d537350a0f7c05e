"""The service that answers now, and the number of its callers, which reload and stop wait for."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from autocreate.service.service import Service
from autocreate.statistics.recorder import Statistics


class ServiceGate:
    """Gives a front end's threads the service that answers now.

    Args:
        statistics: where front ends count their verdicts; services come and go, these stay.
    """

    def __init__(self, service: Service, statistics: Statistics | None = None) -> None:
        self.statistics = statistics or Statistics()
        self._service = service
        self._inside: dict[Service, int] = {}  # of replaced services only those with callers
        self._is_draining = False
        # Taken twice for each recipient: a condition's own lock would cost three times as much.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._figures: dict[str, Callable[[], Any]] = {}

    def add_figures(self, name: str, figures: Callable[[], Any]) -> None:
        """Show what a front end tells of itself, beside the service's own figures.

        Args:
            figures: returns them, as JSON has it. It is called in any thread, and does not wait.
        """
        self._figures[name] = figures

    def figures(self) -> dict[str, Any]:
        """What front ends tell of themselves, by name."""
        return {name: figures() for name, figures in list(self._figures.items())}

    def enter(self) -> "_Visit":
        """The service to ask, or None while this process is shutting down. To be used with `with`."""
        return _Visit(self)

    def admit(self) -> Service | None:
        """Count a caller in. Call `leave` with what was returned."""
        with self._lock:
            if self._is_draining:
                return None
            service = self._service
            self._inside[service] = self._inside.get(service, 0) + 1
            return service

    def leave(self, service: Service | None) -> None:
        """Count a caller out."""
        if service is None:
            return
        with self._lock:
            remaining = self._inside[service] - 1
            self._inside[service] = remaining
            if not remaining and (self._is_draining or service is not self._service):
                del self._inside[service]
                self._changed.notify_all()  # nobody waits for the present service to be empty

    @property
    def service(self) -> Service:
        """The present service, for work that must go on while the gate is closed."""
        return self._service

    def replace(self, service: Service) -> Service:
        """Let a new service answer from now on. Returns the old one, which may still have callers."""
        with self._lock:
            old, self._service = self._service, service
            if not self._inside.get(old):
                self._inside.pop(old, None)
            return old

    def wait_out(self, service: Service, timeout: float) -> None:
        """Wait until a replaced service has no callers, for `timeout` seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: service not in self._inside, timeout)

    def drain(self, timeout: float) -> bool:
        """Admit no new callers, and wait until all have left.

        Args:
            timeout: seconds to wait at most.

        Returns:
            Whether all have left.
        """
        with self._changed:
            self._is_draining = True
            return self._changed.wait_for(lambda: not any(self._inside.values()), timeout)


class _Visit:
    """One caller's stay. A class, because a generator would cost each recipient twice as much."""

    __slots__ = ("_gate", "_service")

    def __init__(self, gate: ServiceGate) -> None:
        self._gate = gate
        self._service: Service | None = None

    def __enter__(self) -> Service | None:
        self._service = self._gate.admit()
        return self._service

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gate.leave(self._service)
