"""Trees that are unfinished: when each is tried again, and whether that can wait.

The journal keeps the entries; the times are decided here.
"""

import logging
import math
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from autocreate.errors import Temporary
from autocreate.model import LMTP, Address, Verdict
from autocreate.service.journal import Entry, Journal
from autocreate.service.journal_creations import Creation, DueHook

log = logging.getLogger(__name__)

# Seconds. An entry is tried again after this pause, which doubles with each attempt up to the longest.
# Until then it may be in the hands of another MTA that shares the journal.
_PAUSE = 60.0
_LONGEST_PAUSE = 6 * 3600.0
# For so many seconds a login proves an account that no source knows.
_PROOF = 3600.0
# How many entries are tried in one go.
_BATCH = 1000


def pause_after(attempts: int) -> float:
    """Seconds until the next attempt, after so many earlier ones that failed, too."""
    return float(min(_PAUSE * 2.0 ** min(attempts, 10), _LONGEST_PAUSE))


class Unfinished:
    """The journal's entries, and their times.

    Args:
        clock: the time in seconds since the epoch.
    """

    def __init__(self, journal: Journal, clock: Callable[[], float] = time.time) -> None:
        self._journal = journal
        self._clock = clock

    def begin(
        self,
        user: str,
        address: Address,
        service: str,
        usable: bool = False,
        creation: Creation | None = None,
    ) -> Entry:
        """Note that a tree is about to be made.

        Args:
            usable: INBOX and quota exist already.
            creation: for a mailbox that is new and gets what only a new one gets.

        Raises:
            Temporary: the journal cannot be written.
        """
        entry = Entry(user, str(address), service, usable=usable, next_try=self._clock() + _PAUSE)
        self._journal.begin(entry, creation)
        return entry

    def finish(self, user: str, provisioned: Collection[str], hook: DueHook | None = None) -> None:
        """Strike out a tree that is complete. If that fails, it is looked at once more, no harm done.

        Args:
            provisioned: what the user was given: see `Action.user_removable`.
            hook: is to run now, if the mailbox is new.
        """
        try:
            self._journal.finish(user, provisioned, hook)
        except Temporary as error:
            log.error("%s: tree complete, but its journal entry remains: %s", user, error)

    def schedule(self, address: Address, user: str, service: str, reason: str) -> None:
        """Note a user who could not be looked at, to do so as soon as possible.

        Raises:
            Temporary: the journal cannot be written.
        """
        entry = Entry(
            user, str(address), service, begun=False, next_try=self._clock(), error=reason
        )
        self._journal.begin(entry)

    def postpone(
        self,
        entry: Entry,
        error: str,
        provisioned: Collection[str] = (),
        held: Creation | None = None,
    ) -> None:
        """Note an attempt that left something missing, and when to make the next.

        Args:
            held: the creation that this process held, and now does not hold any more.
        """
        pause = pause_after(entry.attempts)
        later = replace(
            entry, attempts=entry.attempts + 1, next_try=self._clock() + pause, error=error
        )
        try:
            self._journal.fail(later, provisioned, held)
        except Temporary as failure:
            log.error("%s: retry time not updated in the journal: %s", entry.user, failure)

    def wait(self, entry: Entry) -> None:
        """Try again after a pause, without an attempt that counts: no mailbox may be created just now."""
        try:
            self._journal.fail(replace(entry, next_try=self._clock() + _PAUSE))
        except Temporary as failure:
            log.error("%s: retry time not updated in the journal: %s", entry.user, failure)

    def conclude(self, entry: Entry, verdict: Verdict) -> None:
        """Strike out an entry whose own attempt found nothing left to do.

        Raises:
            Temporary: the journal cannot be written.
        """
        if verdict.plan is not None:
            return  # noted when it was carried out
        if entry.begun:
            log.warning(
                "%s: unfinished tree dropped from the journal: %s", entry.user, verdict.reason
            )
        self._journal.finish(entry.user)

    def begun(self, user: str, must_know: bool = False) -> Entry | None:
        """The entry of a tree that was begun and not finished, if there is one.

        Args:
            must_know: raise if the journal cannot be read. Else the tree is then taken for complete:
                such a journal stops creation, but not the mail of those whose INBOX exists.

        Raises:
            Temporary: the journal cannot be read.
        """
        try:
            entry = self._journal.entry(user)
        except Temporary as error:
            if must_know:
                raise
            log.info("%s: assuming that provisioning is complete: %s", user, error)
            return None
        return entry if entry and entry.begun else None

    def can_wait(self, entry: Entry, service: str, is_alone: bool = False) -> bool:
        """Can a tree whose INBOX exists be completed later, or is another process completing it now?

        The very session in which that process works may be the login that we are asked about.

        Args:
            is_alone: no other process is.
        """
        is_being_made = entry.attempts == 0 and service != LMTP and not is_alone
        is_ahead = self._clock() < entry.next_try <= self._horizon()
        return is_ahead and (entry.usable or is_being_made)

    def is_expired(self, entry: Entry) -> bool:
        """Is the login that an entry is for too long ago to prove an account?"""
        first_noted = entry.next_try - _PAUSE * (2.0 ** min(entry.attempts, 10) - 1)
        return self._clock() - first_noted > _PROOF

    def due(self, everything: bool) -> list[Entry]:
        """The entries that are due for another attempt, or all of them.

        Raises:
            Temporary: the journal cannot be read.
        """
        before = math.inf if everything else self._clock()
        return self._journal.due(before, _BATCH, self._horizon())

    def provisioned(self, user: str) -> frozenset[str]:
        """What a user was given, at any time. Raises `Temporary` if the journal cannot be read."""
        return self._journal.given(user)

    def first(self, most: int) -> list[Entry]:
        """The entries that are tried next, `most` at most; none while the journal cannot tell."""
        try:
            return self._journal.due(math.inf, most)
        except Temporary:
            return []

    @property
    def journal_state(self) -> dict[str, Any]:
        """Whether the journal answers: see `Health.snapshot`."""
        return self._journal.state

    def count(self) -> int | None:
        """How many entries there are; None while the journal cannot tell."""
        try:
            return self._journal.count_unfinished()
        except Temporary:
            return None

    def _horizon(self) -> float:
        """A next try after this time was noted by a clock that was more than a minute ahead."""
        return self._clock() + _LONGEST_PAUSE + _PAUSE
