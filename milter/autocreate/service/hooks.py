"""Hooks: what a program reads once a new mailbox is complete, and when it is run again.

A hook is run at least once for each new mailbox: its row in the journal is deleted after it has
succeeded. Running it is `autocreate.service.hook_program`'s work.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from autocreate.core.policy import Policy
from autocreate.model import Account, Address
from autocreate.service.journal import Journal
from autocreate.service.journal_creations import DueHook
from autocreate.service.unfinished import pause_after
from autocreate.tree.plan import ApplyResult, Plan
from autocreate.tree.values import Hook

log = logging.getLogger(__name__)

# Seconds beyond its time limit after which a hook that was begun is begun again: its process is gone.
_LOST = 60.0
_LONGEST_WAIT = 7 * 3600.0


def with_event(hook: Hook, account: Account, address: Address, service: str, whole: Plan) -> Hook:
    """A hook with what it reads about a user, as JSON.

    Args:
        address: the recipient or login that the mailbox is created for.
        service: what that came by: "lmtp", "imap", "pop3", "sieve".
        whole: all that is made for the user, whatever a plan has left to do.
    """
    attributes: dict[str, list[str]] = {}
    for name, value in account.attributes:
        attributes.setdefault(name, []).append(value)
    event = {
        "event": "created",
        "user": account.user,
        "address": str(address),
        "service": service,
        "policy": whole.policy,
        "source": account.source,
        "attributes": attributes,
        "made": [action.as_json() for action in whole.actions],
    }
    return replace(hook, event=json.dumps(event))


def due_hook(result: ApplyResult) -> DueHook | None:
    """The hook of a tree that is complete, to be run now; what was impossible was not made."""
    plan = result.plan
    if plan.hook is None:
        return None
    event = json.loads(plan.hook.event)
    skipped = [failure.action.as_json() for failure in result.skipped]
    event["made"] = [it for it in event["made"] if it not in skipped]
    return DueHook(plan.user, plan.policy, json.dumps(event))


class Hooks:
    """The journal's hooks, and their times.

    Args:
        policies: whose hooks are run, as they are now.
        is_active: False in dry run, where none is run.
        clock: the time in seconds since the epoch.

    Raises:
        Temporary, from every method: the journal cannot be used.
    """

    def __init__(
        self,
        journal: Journal,
        policies: Iterable[Policy],
        is_active: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._journal = journal
        self._is_active = is_active
        self._hooks = {policy.name: policy.hook for policy in policies}
        self._clock = clock

    def claim(self, most: int) -> list[tuple[DueHook, Hook]]:
        """Hooks to run now. Nobody else runs them meanwhile.

        Those whose policy has no hook any more are dropped.
        """
        if most <= 0 or not self._is_active:
            return []
        now = self._clock()
        claimed = []
        for due in self._journal.creations.due_hooks(now, most, now + _LONGEST_WAIT):
            hook = self._hooks.get(due.policy)
            if hook is None:
                log.warning("%s: hook dropped: policy %r has none any more", due.user, due.policy)
                self._journal.creations.change_hook(due, None)
                continue
            later = now + hook.timeout + _LOST
            ours = replace(due, attempts=due.attempts + 1, next_try=later)
            if self._journal.creations.change_hook(due, ours):
                claimed.append((ours, hook))
        return claimed

    def conclude(self, run: DueHook, error: str, again_at_once: bool = False) -> None:
        """Note what became of a hook that was claimed.

        Args:
            error: why it failed; empty if it did not.
            again_at_once: it was ended with this service; the next one runs it again.
        """
        if not error:
            self._journal.creations.change_hook(run, None)
            return
        pause = 0.0 if again_at_once else pause_after(run.attempts - 1)
        later = replace(run, next_try=self._clock() + pause, error=error)
        self._journal.creations.change_hook(run, later)

    def count(self) -> int:
        """How many are still to run."""
        return self._journal.creations.count_hooks()
