"""Runs hooks in the background of a serving process, a few at a time. No mail waits for one."""

import logging
import threading
import time

from autocreate.errors import Temporary
from autocreate.frontends.gate import ServiceGate
from autocreate.service import hook_program
from autocreate.service.journal_creations import DueHook
from autocreate.tree.values import Hook

log = logging.getLogger(__name__)

_MOST = 4  # at once
_BETWEEN_LOOKS = 2.0  # seconds
# As `autocreate.statistics` calls them.
STATS = "hooks"


class HookRunner:
    """Looks for hooks that are due, and runs each in a thread of its own.

    Args:
        stopping: when set, no more are begun, and those that run are ended.
    """

    def __init__(self, gate: ServiceGate, stopping: threading.Event) -> None:
        self._gate = gate
        self._stopping = stopping
        self._running: set[threading.Thread] = set()
        self._looking = threading.Thread(target=self._run_all, name="hooks", daemon=True)

    def start(self) -> None:
        """Run hooks, in threads of this object's, until the service stops."""
        self._looking.start()

    def wait(self, timeout: float) -> None:
        """Wait until those that were ended are noted.

        Args:
            timeout: seconds, for all of them.
        """
        until = time.monotonic() + timeout
        self._looking.join(timeout)  # then no more are begun
        for thread in tuple(self._running):
            thread.join(max(0.0, until - time.monotonic()))

    def _run_all(self) -> None:
        while not self._stopping.is_set():
            try:
                self._begin_due()
            except Temporary as error:
                log.debug("hooks are not run: %s", error)  # the journal logs it
            except Exception:
                log.exception("a defect of this program, while running hooks")
            self._stopping.wait(_BETWEEN_LOOKS)

    def _begin_due(self) -> None:
        self._running = {it for it in self._running if it.is_alive()}
        with self._gate.enter() as service:
            claimed = service.hooks.claim(_MOST - len(self._running)) if service else []
        for due, hook in claimed:
            thread = threading.Thread(target=self._run, args=(due, hook), name="hook", daemon=True)
            self._running.add(thread)
            thread.start()

    def _run(self, due: DueHook, hook: Hook) -> None:
        begun = time.monotonic()
        try:
            result = hook_program.run(hook, due.event, self._stopping)
        except Exception as error:
            log.exception("%s: a defect of this program, while running a hook", due.user)
            result = hook_program.HookResult(f"internal error: {error!r}")
        seconds = time.monotonic() - begun
        self._gate.statistics.stats(STATS).answered(seconds, result.error)
        if not result.error:
            said = f": {result.output}" if result.output else ""
            log.info("%s: hook %s succeeded%s", due.user, hook.argv[0], said)
        elif result.is_stopped:
            log.warning("%s: hook %s", due.user, result.error)
        else:
            log.error("%s: hook %s; it will be retried", due.user, result.error)
        try:
            # Not by the gate, which is closed while the service stops.
            self._gate.service.hooks.conclude(due, result.error, result.is_stopped)
        except Temporary as error:
            log.error("%s: the end of its hook is not noted; it runs again: %s", due.user, error)
