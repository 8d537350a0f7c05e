"""What only a new mailbox gets, and one process at a time that makes it, so that it happens once.

Everything else that makes a tree may be done twice without harm, and two MTAs that share a journal may
do so at the same moment. A welcome message is appended, and nothing in Cyrus makes that a no-operation
when it is done again. See docs/decisions/0070-welcome-message.md.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace

from autocreate.errors import Temporary
from autocreate.service.holders import holder_of, is_dead
from autocreate.service.journal import Journal
from autocreate.service.journal_creations import Creation
from autocreate.tree.actions import CreateMailbox, DeliverWelcome
from autocreate.tree.plan import ApplyResult, Plan

# Seconds. A holder that cannot be asked whether it lives is taken for dead after this time: longer than
# the work on a tree can take with the usual time limits.
_HOLD = 120.0
# How long to wait for another process, and between looks.
_WAIT = 10.0
_BETWEEN_LOOKS = 0.05


class Creations:
    """Holds new mailboxes.

    Args:
        clock: the time in seconds since the epoch.
        holder: names this process, and no other that ever was: see `holder_of`.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Callable[[], float] = time.time,
        holder: str = "",
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._holder = holder or holder_of(os.getpid())

    def new(self, user: str) -> Creation:
        """A creation that this process begins."""
        # Whole seconds, which every database gives back as they were.
        return Creation(user, self._holder, float(int(self._clock() + _HOLD)))

    def of(self, user: str) -> Creation | None:
        """A user's creation, whoever holds it. Raises `Temporary` if the journal cannot be read."""
        return self._journal.creations.of(user)

    def held(self, user: str, is_alone: bool = False) -> Creation | None:
        """Hold a user's creation; None if there is none, or none any more.

        Args:
            is_alone: no other process works on this user, so another holder has died or was cut off.

        Raises:
            Temporary: another process works on it and does not end, or the journal cannot be used.
        """
        until = time.monotonic() + _WAIT
        while (found := self.of(user)) is not None:
            if self._is_ours(found):
                return found
            ours = replace(self.new(user), welcomed=found.welcomed)
            is_free = is_alone or self._is_free(found)
            if is_free and self._journal.creations.take(found, ours):
                return ours
            if time.monotonic() > until:
                raise Temporary(f"the mailbox is being created by another process ({found.holder})")
            time.sleep(_BETWEEN_LOOKS)
        return None

    def _is_ours(self, found: Creation) -> bool:
        return found.holder == self._holder and found.held_until > self._clock()

    def _is_free(self, found: Creation) -> bool:
        now = self._clock()
        # Further ahead than anybody holds: noted by a wrong clock.
        is_held = now < found.held_until <= now + 2 * _HOLD
        return not is_held or is_dead(found.holder)


def is_for_new(plan: Plan) -> bool:
    """Does a plan have something that only a new mailbox gets?"""
    return plan.hook is not None or any(isinstance(it, DeliverWelcome) for it in plan.actions)


def still_due(plan: Plan, held: Creation | None, exists: Callable[[str], bool]) -> Plan:
    """A plan for a new mailbox without what another process has done since it was made.

    Args:
        held: the creation; None if the other has finished the tree.
        exists: does a user's INBOX exist?
    """
    actions = list(plan.actions)
    if not plan.creates_inbox or exists(plan.user):
        # That INBOX is not for this plan to create tells the store to look for the message first.
        actions = [it for it in actions if not (isinstance(it, CreateMailbox) and not it.path)]
        if held is None or held.welcomed:
            actions = [it for it in actions if not isinstance(it, DeliverWelcome)]
    return replace(plan, actions=tuple(actions), hook=plan.hook if held else None)


def released(held: Creation | None, result: ApplyResult) -> Creation | None:
    """A creation as it is noted when its tree is left unfinished."""
    if held is None:
        return None
    is_delivered = any(isinstance(it, DeliverWelcome) for it in result.done)
    return replace(held, welcomed=held.welcomed or is_delivered)
