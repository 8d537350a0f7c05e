"""What the watch tells of itself: in the log, in the metrics and at the control socket."""

import logging
import time
from collections.abc import Collection
from typing import Any

from autocreate.resilience.throttled_log import ThrottledLog
from autocreate.watch.records import Stopped
from autocreate.watch.rounds import Round

log = logging.getLogger(__name__)

# The same problem is not logged again for so many seconds.
_AGAIN = 3600.0


class Figures:
    """Figures since the start of the process. One thread writes them, any may read."""

    def __init__(self) -> None:
        self._log = ThrottledLog(log, _AGAIN)
        self._stopped: Stopped | None = None
        self._rounds = 0
        self._created = 0
        self._last_round = 0.0
        self._last_seconds = 0.0
        self._without_account: int | None = None
        self._sources: dict[str, dict[str, str]] = {}

    def snapshot(self, leads: bool) -> dict[str, Any]:
        """All figures, as JSON has them.

        Args:
            leads: this process watches, and no other one.
        """
        return {
            "leads": leads,
            "stopped": self._stopped._asdict() if self._stopped else None,
            "rounds": self._rounds,
            "created": self._created,
            "last_round": self._last_round,
            "last_seconds": self._last_seconds,
            "without_account": self._without_account,
            "sources": self._sources,
        }

    def begin(self) -> None:
        """Forget the sources of an earlier configuration."""
        self._sources = {}

    def created(self) -> None:
        """Count a mailbox that was created."""
        self._created += 1

    def stopped(self, stopped: Stopped | None) -> None:
        """Show that the watch has stopped, or that it has not."""
        if self._stopped and stopped is None:
            log.info("watch: goes on")
        self._stopped = stopped
        if stopped:
            self._log.log(
                logging.ERROR,
                ("stopped", stopped.at),
                "watch: stopped: %s; it creates nothing until the plans were read (autocreate watch "
                "--plan) and carried out (autocreate watch --resume CHECKSUM)",
                stopped.why,
            )

    def would_stop(self, why: str) -> None:
        """Show that the watch would have stopped, but for dry run."""
        self._log.log(logging.ERROR, "would stop", "watch: dry run: would stop: %s", why)

    def round_over(self, round_: Round, begun: float) -> None:
        """Show what came of a round.

        Args:
            begun: when, by the monotonic clock.
        """
        self._rounds += 1
        self._last_round = time.time()
        self._last_seconds = round(time.monotonic() - begun, 3)
        count = round_.count_without_account()
        if count is not None:
            if count and count != self._without_account:
                log.info("watch: %d mailboxes have no account; autocreate audit names them", count)
            self._without_account = count

    def sources(
        self, kinds: dict[str, str], errors: dict[str, str], followed: Collection[str]
    ) -> None:
        """Show how sources are asked, and which did not answer.

        Args:
            kinds: how each is asked, by source.
            errors: why it did not answer, by source; "" if it did.
            followed: those of which each change is reported.
        """
        self._sources = {
            name: {
                "kind": "syncrepl" if name in followed else kind,
                "error": errors.get(name, ""),
            }
            for name, kind in kinds.items()
        }
        for name, error in errors.items():
            if error:
                key = ("source", name, error)
                self._log.warning(key, "watch: accounts.%s: %s", name, error)

    def failed(self, what: str, error: object) -> None:
        """Log a problem that passes, once an hour."""
        self._log.warning((what, str(error)), "watch: %s%s", f"{what}: " if what else "", error)
