"""The service that answers now, and the number of its callers, which reload and stop wait for."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

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
        self._inside: Counter[Service] = Counter()
        self._is_draining = False
        self._changed = threading.Condition()

    @contextmanager
    def enter(self) -> Iterator[Service | None]:
        """The service to ask, or None while this process is shutting down."""
        with self._changed:
            if self._is_draining:
                service = None
            else:
                service = self._service
                self._inside[service] += 1
        try:
            yield service
        finally:
            if service is not None:
                with self._changed:
                    self._inside[service] -= 1
                    if not self._inside[service]:
                        del self._inside[service]
                    self._changed.notify_all()

    @property
    def service(self) -> Service:
        """The present service, for work that must go on while the gate is closed."""
        return self._service

    def replace(self, service: Service) -> Service:
        """Let a new service answer from now on. Returns the old one, which may still have callers."""
        with self._changed:
            old, self._service = self._service, service
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
            return self._changed.wait_for(lambda: not self._inside, timeout)
