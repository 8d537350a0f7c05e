"""The MUPDATE master's stream: deletions and moves at any server are known within about a second."""

import logging
import threading
from collections.abc import Callable

from autocreate.errors import AutocreateError
from autocreate.murder.names import State
from autocreate.murder.wire import Mupdate
from autocreate.resilience.health import Health

log = logging.getLogger(__name__)

# Seconds between two questions for what is new. Unasked, Cyrus tells every five.
_INTERVAL = 1.0
_LONGEST_PAUSE = 30.0


class Stream:
    """Follows all changes in a thread of its own, until it is closed.

    While it is broken, nobody is told anything: what others remember is then as old as they let it become.

    Args:
        connect: makes a connection to the master.
        gone: is told of each user whose INBOX is not where it was.
        unknown: is called after each interruption: any INBOX may be gone.
    """

    def __init__(
        self,
        connect: Callable[[], Mupdate],
        gone: Callable[[str], None],
        unknown: Callable[[], None],
    ) -> None:
        self._connect = connect
        self._gone = gone
        self._unknown = unknown
        self._is_closed = threading.Event()
        self._session: Mupdate | None = None
        self.health = Health()
        self._thread = threading.Thread(target=self._run, name="mupdate-stream", daemon=True)
        self._thread.start()

    @property
    def in_step(self) -> bool:
        """Are changes known as they happen?"""
        return self.health.is_up is True

    def close(self) -> None:
        """End the connection and the thread."""
        self._is_closed.set()
        if session := self._session:
            session.discard()
        self._thread.join()

    def _run(self) -> None:
        pause, last = _INTERVAL, ""
        while not self._is_closed.is_set():
            try:
                self._follow()
            except AutocreateError as error:
                problem = str(error)
            except Exception as error:
                log.exception("MUPDATE stream: a defect of this program")
                problem = repr(error)
            if self._is_closed.is_set():
                return
            if self.in_step:
                pause, last = _INTERVAL, ""
            self.health.failed(problem)
            if problem != last:
                log.warning("MUPDATE stream broken, caches expire as without it: %s", problem)
                last = problem
            self._is_closed.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _follow(self) -> None:
        session = self._session = self._connect()
        try:
            for _ in session.listed():  # the way to the changes
                if self._is_closed.is_set():
                    return
            self._unknown()
            self.health.answered()
            log.info("MUPDATE stream: in step with the master")
            while not self._is_closed.wait(_INTERVAL):
                for entry in session.changes():
                    if entry.user and entry.state is not State.ACTIVE:
                        self._gone(entry.user)
        finally:
            session.discard()
