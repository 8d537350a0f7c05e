"""The watch as a part of a serving process: a thread that makes one round after the other.

It has connections of its own to databases and to Cyrus, so that mail and logins never wait for it. With them
it shares what keeps the work on one user apart, and `[limits]`.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from autocreate.accounts.changes import Tracker
from autocreate.admin.components import Components
from autocreate.errors import AutocreateError
from autocreate.frontends.gate import ServiceGate
from autocreate.service.journal_leases import Duty, JournalLease
from autocreate.service.lease import SECONDS, Lease
from autocreate.service.service import Service
from autocreate.watch.deeds import Deeds
from autocreate.watch.figures import Figures
from autocreate.watch.following import Follower, Following
from autocreate.watch.records import Records, Unwritten
from autocreate.watch.rounds import AtMost, Round

log = logging.getLogger(__name__)

# Seconds. So soon a reload is noticed.
_MOMENT = 1.0
# Seconds. Reports that come together are dealt with together.
_TOGETHER = 0.1
# Seconds that the end of the process waits until the lease is given up.
_GIVE_UP = 1.0
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Watched:
    """What the watch works with, by one version of the configuration.

    Args:
        components: the service and its parts, with connections of their own.
        trackers: of the sources that can be watched.
        followers: of those that report changes, by the name of the source.
        every: seconds between two rounds.
        back: how many seconds before now a report of changes is to begin.
        close: closes all of this.
    """

    components: Components
    trackers: Sequence[Tracker]
    followers: Mapping[str, Follower]
    every: float
    back: float
    at_most: AtMost
    close: Callable[[], None]


class Watcher:
    """See `FrontEnd`.

    Args:
        build: makes what the watch works with, beside the service that serves; None if accounts are not
            to be watched.
        lease_seconds: for how long the lease counts.
    """

    def __init__(
        self, build: Callable[[Service], Watched | None], lease_seconds: float = SECONDS
    ) -> None:
        self._build = build
        self._reported: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._lease = Lease(
            "watches the accounts", self._lease_record, self._look_soon, lease_seconds
        )
        self._lease_keeper = threading.Thread(
            target=lambda: self._lease.keep(self._stopping), name="watch lease", daemon=True
        )
        self._figures = Figures()
        self._deeds = Deeds(self._figures, self._worked_on, self._may_go_on)
        self._gate: ServiceGate | None = None
        self._watched: Watched | None = None
        self._built_for: Service | None = None
        self._following: Following | None = None
        self._unwritten: Unwritten | None = None
        self._next_look = _NEVER
        # Somebody may have been found and not been dealt with: reports are not enough.
        self._is_unsettled = True

    def serve(self, gate: ServiceGate, failed: Callable[[BaseException], None]) -> None:
        """See `FrontEnd.serve`. Mail does not depend on the watch, so `failed` is not called."""
        self._gate = gate
        gate.add_figures("watch", lambda: self._figures.snapshot(self._leads))
        threading.Thread(target=self._run, args=(gate,), name="watch", daemon=True).start()
        self._lease_keeper.start()

    def stop(self) -> None:
        """See `FrontEnd.stop`. Users who are being worked on are finished; others are found again."""
        self._stopping.set()
        self._awake.set()
        self._lease_keeper.join(_GIVE_UP)

    def _run(self, gate: ServiceGate) -> None:
        while not self._stopping.is_set():
            self._awake.clear()
            try:
                self._follow_configuration(gate.service)
                if self._watched and self._leads:
                    self._work(self._watched)
            except AutocreateError as error:
                self._is_unsettled = True
                self._figures.failed("", error)
            except Exception:
                self._is_unsettled = True
                log.exception("watch: a defect of this program")
            self._awake.wait(_MOMENT)
            if not self._reported.empty():
                self._stopping.wait(_TOGETHER)

    def _follow_configuration(self, service: Service) -> None:
        """Begin anew when a reload has put another service in place."""
        if service is self._built_for:
            return
        watched = self._build(service)
        old, following = self._watched, self._following
        self._watched, self._built_for, self._following = watched, service, None
        self._look_soon()
        self._figures.begin()
        if following:
            following.stop()
        if old:
            old.close()
        if watched:
            self._following = Following(
                watched.followers, watched.back, watched.every, self._report, lambda: self._leads
            )
            self._following.start()

    def _work(self, watched: Watched) -> None:
        """Make a round, if it is time or something was reported."""
        reported = self._take_reports()
        is_time = time.monotonic() >= self._next_look
        if not (is_time or reported):
            return
        if is_time:
            self._next_look = time.monotonic() + watched.every
        records = self._records(watched)
        stopped = records.stopped()
        self._figures.stopped(stopped)
        if stopped:
            self._is_unsettled = True
            return
        begun = time.monotonic()
        with closing(Round(watched.components, watched.trackers, records)) as round_:
            round_.add(reported)
            was_unsettled, self._is_unsettled = self._is_unsettled, True  # until the round is over
            if is_time:
                self._look(watched, round_, asks_all=was_unsettled)
            if self._deeds.deal_with(round_, watched.components, records, watched.at_most):
                round_.keep_marks()
                self._is_unsettled = was_unsettled and not is_time
            self._figures.round_over(round_, begun)

    def _look(self, watched: Watched, round_: Round, asks_all: bool) -> None:
        followed = self._following.sources if self._following else frozenset()
        round_.look(frozenset() if asks_all else followed)
        kinds = {it.name: it.kind for it in watched.trackers}
        self._figures.sources(kinds, round_.looked.errors, followed)

    def _take_reports(self) -> list[str]:
        names = []
        while not self._reported.empty():
            names.append(self._reported.get())
        return names

    def _report(self, name: str) -> None:
        self._reported.put(name)
        self._awake.set()

    def _look_soon(self) -> None:
        self._is_unsettled = True
        self._next_look = _NEVER
        self._awake.set()

    def _worked_on(self, user: str) -> None:
        """Mail must not remember that this user was unknown a moment ago."""
        if self._gate:
            self._gate.service.invalidate_user(user)

    def _may_go_on(self) -> bool:
        return not self._stopping.is_set() and self._leads

    @property
    def _leads(self) -> bool:
        """Does this process watch? In dry run it only looks, whoever else watches."""
        watched = self._watched
        return watched is not None and (watched.components.dry_run or self._lease.is_ours)

    def _lease_record(self) -> JournalLease | None:
        """Where the lease is kept; None while this process does not want it."""
        watched = self._watched
        if watched is None or watched.components.dry_run:
            return None
        return watched.components.journal.lease(Duty.WATCH)

    def _records(self, watched: Watched) -> Records:
        texts = watched.components.journal.watch
        if not watched.components.dry_run:
            return Records(texts)
        self._unwritten = self._unwritten or Unwritten(texts)
        return Records(self._unwritten)
