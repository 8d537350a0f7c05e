"""Sources that report each change at once: a thread for each, as long as this process watches."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from autocreate.errors import Temporary

log = logging.getLogger(__name__)

# Seconds until a server that does not offer it is asked again: it may have been upgraded.
_NOT_OFFERED = 3600.0
# Seconds. So soon it begins once this process watches.
_MOMENT = 1.0


class Follower(Protocol):
    """A source that can report changes: see `LdapChanges.follow`."""

    def follow(
        self,
        moment: int,
        ready: Callable[[], None],
        told: Callable[[str], None],
        stopping: threading.Event,
    ) -> bool: ...


class Following:
    """Follows sources in threads of its own.

    Args:
        followers: by the name of the source.
        back: how many seconds before now to begin: what happened since the last search.
        pause: seconds before another attempt.
        told: called with the names of a source and an account.
        is_wanted: does this process watch?
        clock: the time in seconds since the epoch.
    """

    def __init__(
        self,
        followers: Mapping[str, Follower],
        back: float,
        pause: float,
        told: Callable[[str], None],
        is_wanted: Callable[[], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._followers = followers
        self._back = back
        self._pause = pause
        self._told = told
        self._is_wanted = is_wanted
        self._clock = clock
        self._ready: set[str] = set()
        self._ends: list[threading.Event] = []

    @property
    def sources(self) -> frozenset[str]:
        """The sources whose changes are reported now."""
        return frozenset(self._ready)

    def start(self) -> None:
        """Begin, in threads of its own."""
        self._ends = []
        for name in self._followers:
            stopping = threading.Event()
            self._ends.append(stopping)
            threading.Thread(
                target=self._keep_following,
                args=(name, stopping),
                name=f"watch {name}",
                daemon=True,
            ).start()

    def stop(self) -> None:
        """End, within a second or when the server answers. Nothing is reported afterwards."""
        for stopping in self._ends:
            stopping.set()

    def _keep_following(self, name: str, stopping: threading.Event) -> None:
        last = ""
        while not stopping.is_set():
            pause = _MOMENT
            if self._is_wanted():
                pause = self._pause
                try:
                    if not self._follow(name, stopping):
                        log.info("watch: accounts.%s does not offer syncrepl", name)
                        pause = _NOT_OFFERED
                    last = ""
                except Temporary as error:
                    if str(error) != last:
                        log.warning("watch: accounts.%s is searched instead: %s", name, error)
                    last = str(error)
                except Exception:
                    log.exception("watch: a defect of this program, while following %s", name)
                finally:
                    self._ready.discard(name)
            stopping.wait(pause)

    def _follow(self, name: str, stopping: threading.Event) -> bool:
        def told(account: str) -> None:
            # If another process watches meanwhile, it was told. If this one does again, it asks for everything.
            if self._is_wanted() and not stopping.is_set():
                self._told(account)

        begun = int(self._clock() - self._back)
        return self._followers[name].follow(begun, lambda: self._ready.add(name), told, stopping)
