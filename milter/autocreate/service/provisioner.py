"""One user at a time: does the account exist, does its mailbox stand, and if not, make it so.

The journal is written before the first command goes to the mail store and struck out after the last,
so that a kill at any moment leaves a row that says what to finish. Whose turn it is, and how long a
caller waits, is decided by `autocreate.service.service`; nothing here knows of recipients or replies.
"""

import logging
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from autocreate.accounts.directory import Directory
from autocreate.core.naming import ANONYMOUS, Users
from autocreate.core.plan import (
    by_error,
    describe,
    difference,
    notes_of,
    user_removable,
    without_user_removed,
)
from autocreate.core.policy import Policy, scripts_of, select
from autocreate.core.spelling import shared_groups
from autocreate.errors import Temporary
from autocreate.mailstore import MailStore
from autocreate.model import LMTP, Account, Address, Answer, ApplyResult, Script, Tree, Verdict
from autocreate.service.journal import Entry, Journal
from autocreate.service.mailbox_cache import MailboxCache

log = logging.getLogger(__name__)

# Another MTA that shares the journal leaves a fresh entry alone for this long, in seconds.
_GRACE = 60.0
_LONGEST_PAUSE = 6 * 3600.0
# For so many seconds a right password proves an account that no source knows.
_PROOF = 3600.0


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What an administrator decided about accounts.

    Args:
        users: how addresses become user ids.
        policies: the first that matches decides.
        administrators: users who never get a mailbox, and groups of them as `group:NAME`.
    """

    users: Users
    policies: tuple[Policy, ...]
    administrators: frozenset[str] = frozenset()


class DecisionRequest(NamedTuple):
    """What is asked about a user.

    Args:
        address: the recipient or login it is for; its domain may choose the policy.
        apply: False only looks and plans.
        service: what it is for. By any other than mail the user has logged in, and so exists; the
            account sources are then asked for what a new tree depends on, no more.
        entry: the journal's, for another attempt that is due whatever the mailbox looks like.
    """

    address: Address
    user: str
    apply: bool
    service: str = LMTP
    entry: Entry | None = None

    @property
    def key(self) -> tuple[str, bool]:
        """Questions with one key may share an answer.

        What is only looked at must not be answered by, or for, what is being done.
        """
        return self.user, self.apply


class Provisioner:
    """Decides about users, and makes what their policies call for.

    Callers see to it that no two calls for one user run at once.

    Args:
        ready: is told whose mailbox stands.
        clock: the time in seconds since the epoch.
        created: is told of each mailbox that was created: its policy, and the domain it was for.
    """

    def __init__(
        self,
        rules: AccountRules,
        directory: Directory,
        store: MailStore,
        journal: Journal,
        ready: MailboxCache,
        clock: Callable[[], float] = time.time,
        created: Callable[[str, str], None] = lambda _policy, _domain: None,
    ) -> None:
        self._rules = rules
        self._directory = directory
        self._store = store
        self._journal = journal
        self._ready = ready
        self._clock = clock
        self._created = created

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The first that matches decides."""
        return self._rules.policies

    def decide(self, question: DecisionRequest) -> Verdict:
        """What to answer about a user, once its tree is made as far as it can be made now.

        Raises:
            Temporary: an account source, the mail store or the journal cannot tell.
            Refused: the mail store can have no such user.
        """
        address, user, entry = question.address, question.user, question.entry
        moment = self._ready.moment()
        service = question.service
        account = self._directory.find(user) if service == LMTP else Account(user, "")
        if account is None:
            return Verdict(Answer.UNKNOWN, "no account source knows this user", user)
        # `anonymous` is a word of access control lists: Cyrus can have no mailbox for it.
        stands = user != ANONYMOUS and self._store.exists(user)
        if stands:
            # The entry that is due may have been finished since the journal was read.
            begun = self._journal.entry(user) if entry else self._entry(user)
            if begun is not None and not begun.begun:
                begun = None
            if begun is None or (entry is None and self._may_wait(begun, service)):
                return self._accept(account, begun, moment)
        if service != LMTP:
            known = self._directory.find(user)
            if known is None and not stands and entry and self._age(entry) > _PROOF:
                return Verdict(Answer.UNKNOWN, "has logged in long ago, and is no user now", user)
            account = known or account
        if self._is_administrator(account):
            return self._not_to_create(account, stands, "administrators get no mailbox")
        policy = self._policy(address, account, service)
        if policy is None or not policy.create:
            reason = f"no mailbox for this user: {_why_none(policy)}"
            return self._not_to_create(account, stands, reason)
        wanted, problems = policy.tree_for(account, self._store.version)
        for problem in problems:
            log.error("%s: %s", user, problem)
        observed = self._store.observe(user, wanted) if stands else Tree()
        verdict = Verdict(
            Answer.ACCEPT,
            "INBOX stands, its tree is incomplete" if stands else "has an account and no mailbox",
            user,
            account.source,
            policy.name,
            difference(user, policy.name, wanted, observed),
            notes=problems,
        )
        if not question.apply:
            return verdict
        noted = Entry(user, str(address), service, next_try=self._clock() + _GRACE)
        return self._carry_out(noted, verdict, stands)

    def is_exempt(self, address: Address, user: str) -> bool:
        """Is a user who has an account to have no mailbox, by the policies?

        Raises:
            Temporary: an account source cannot tell.
        """
        account = self._directory.find(user)
        if account is None:
            return False
        policy = self._policy(address, account, LMTP)
        return self._is_administrator(account) or policy is None or not policy.create

    def update(self, address: Address, user: str, restore: bool) -> Verdict:
        """What would bring a standing tree to today's policy. Changes nothing: see `apply`.

        What the user was given once and has done away with since is left away.

        Args:
            address: whose domain may choose the policy.
            restore: bring that back, too.

        Raises:
            Temporary, Refused: as for `decide`.
        """
        account = self._directory.find(user)
        if account is None:
            return Verdict(Answer.UNKNOWN, "no account source knows this user", user)
        if self._is_administrator(account) or not self._store.exists(user):
            return Verdict(Answer.PASS, "has no mailbox to bring to a policy", user, account.source)
        policy = self._policy(address, account, LMTP)
        if policy is None or not policy.create:
            return Verdict(Answer.PASS, _why_none(policy), user, account.source)
        wanted, problems = policy.tree_for(account, self._store.version)
        plan = difference(user, policy.name, wanted, self._store.observe(user, wanted))
        if not restore:
            plan = without_user_removed(plan, self._journal.given(user))
        reason = "differs from its policy" if plan.actions else "is as its policy says"
        return Verdict(
            Answer.ACCEPT, reason, user, account.source, policy.name, plan, notes=problems
        )

    def apply(self, address: Address, verdict: Verdict) -> Verdict:
        """Do what `update` planned.

        Raises:
            Temporary: the journal cannot be written.
        """
        noted = Entry(verdict.user, str(address), usable=True, next_try=self._clock() + _GRACE)
        return self._carry_out(noted, verdict, stood=True)

    def schedule_retry(self, address: Address, user: str, service: str, reason: str) -> None:
        """Note in the journal that a user could not be looked at, to do it as soon as possible.

        Raises:
            Temporary: the journal cannot be written.
        """
        self._journal.begin(
            Entry(user, str(address), service, begun=False, next_try=self._clock(), error=reason)
        )

    def scripts(self) -> tuple[tuple[str, Script], ...]:
        """The Sieve scripts that policies give, each with the policy's name."""
        return scripts_of(self._rules.policies)

    def check_script(self, script: Script) -> tuple[str, ...]:
        """Does a script compile? See `ScriptStore.check`."""
        return self._store.check(script)

    def invalidate(self, user: str | None) -> None:
        """Ask the account sources again about a user, or about everyone."""
        self._directory.invalidate(user)

    def stats(self) -> dict[str, Any]:
        """What account sources, Cyrus and the journal tell of themselves, as JSON has it.

        `unfinished` is None while the journal cannot tell.
        """
        try:
            unfinished: int | None = self._journal.count_unfinished()
        except Temporary:
            unfinished = None
        return {
            "sources": self._directory.snapshot(),
            "cyrus": self._store.snapshot(),
            "unfinished": unfinished,
        }

    def due(self, everything: bool) -> list[Entry]:
        """The journal's entries that are due for another attempt, or all of them.

        Raises:
            Temporary: the journal cannot be read.
        """
        return self._journal.due(math.inf if everything else self._clock(), 1000, self._horizon())

    def conclude(self, entry: Entry, verdict: Verdict) -> None:
        """Strike out an entry whose own attempt found nothing left to do for it.

        Raises:
            Temporary: the journal cannot be written.
        """
        if verdict.plan is not None:
            return  # noted while it was carried out
        if entry.begun:
            log.warning("%s: begun, but not to be finished: %s", entry.user, verdict.reason)
        self._journal.finish(entry.user)

    def reschedule(self, entry: Entry, verdict: Verdict) -> None:
        """Note when to try again, after an attempt that came to no decision."""
        if verdict.plan is None:
            self._postpone(entry, verdict.reason)

    def _accept(self, account: Account, begun: Entry | None, since: int) -> Verdict:
        if begun is None:
            self._ready.add(account.user, since)
            return Verdict(Answer.ACCEPT, "INBOX stands", account.user, account.source)
        rest = f"is tried again later: {begun.error}" if begun.error else "is being made"
        reason = f"INBOX stands, the rest {rest}"
        return Verdict(Answer.ACCEPT, reason, account.user, account.source)

    def _may_wait(self, begun: Entry, service: str) -> bool:
        """Is the rest of a tree whose INBOX stands for later, or for somebody else who is at it?

        The very session in which another process makes it may be the login that we are told of.
        """
        is_in_the_making = begun.attempts == 0 and service != LMTP
        is_ahead = self._clock() < begun.next_try <= self._horizon()
        return is_ahead and (begun.usable or is_in_the_making)

    def _horizon(self) -> float:
        """A next try after this time was noted by a clock that was more than a minute ahead."""
        return self._clock() + _LONGEST_PAUSE + _GRACE

    def _not_to_create(self, account: Account, stands: bool, reason: str) -> Verdict:
        answer = Answer.ACCEPT if stands else Answer.UNKNOWN
        reason = f"INBOX stands; {reason}" if stands else reason
        return Verdict(answer, reason, account.user, account.source)

    def _carry_out(self, entry: Entry, verdict: Verdict, stood: bool) -> Verdict:
        """Apply a verdict's plan between its first and its last line in the journal."""
        assert verdict.plan is not None
        user = verdict.user
        moment = self._ready.moment()
        self._journal.begin(entry)
        report = self._store.apply(verdict.plan)
        for action in report.done:
            log.info("%s: done: %s", user, describe(action))
        for what, error in by_error(report.skipped):
            log.warning("%s: could not %s, and will not: %s", user, what, error)
        for what, error in by_error(report.failed):
            log.error("%s: could not %s: %s", user, what, error)
        created = not stood and report.usable
        verdict = replace(verdict, report=report, created=created)
        if created:
            # Here and nowhere else, so that the log has one such line for each mailbox: whoever
            # asked may have left at the deadline, or several may have asked.
            log.info("%s: mailbox created, by policy %r", user, verdict.policy)
            _, at, domain = entry.address.rpartition("@")
            self._created(verdict.policy, domain if at else self._rules.users.default_domain)
        if report.failed:
            return self._left_unfinished(entry, report, verdict)
        try:
            self._journal.finish(user, _gifts(report))
        except Temporary as error:
            # The tree stands. The entry that stays behind costs one more look at it, no more.
            log.error("%s: its tree stands, but %s", user, error)
        self._ready.add(user, moment)
        reason = "completed" if stood else "created"
        return replace(verdict, reason=reason, notes=(*verdict.notes, *notes_of(report.skipped)))

    def _left_unfinished(self, entry: Entry, report: ApplyResult, verdict: Verdict) -> Verdict:
        first = report.failed[0]
        error = f"could not {describe(first.action)}: {first.error}"
        begun = self._entry(entry.user) or entry
        self._postpone(replace(begun, usable=report.usable), error, _gifts(report))
        notes = (*verdict.notes, *notes_of(report.failed))
        if not report.usable:
            return replace(verdict, answer=Answer.TEMPORARY, reason=error, notes=notes)
        return replace(
            verdict, reason=f"INBOX stands, the rest is tried again: {error}", notes=notes
        )

    def _postpone(self, entry: Entry, error: str, given: Collection[str] = ()) -> None:
        """Note another attempt that left something missing, and when to make the next."""
        pause = min(_GRACE * 2.0 ** min(entry.attempts, 10), _LONGEST_PAUSE)
        later = replace(
            entry, attempts=entry.attempts + 1, next_try=self._clock() + pause, error=error
        )
        try:
            self._journal.fail(later, given)
        except Temporary as failure:
            log.error("%s: %s; its entry is tried again as it is", entry.user, failure)

    def _age(self, entry: Entry) -> float:
        """How many seconds ago an entry was noted, at least, by the pauses that `_postpone` made."""
        return self._clock() - entry.next_try + _GRACE * (2.0 ** min(entry.attempts, 10) - 1)

    def _policy(self, address: Address, account: Account, service: str) -> Policy | None:
        domain = address.domain or self._rules.users.default_domain
        return select(
            self._rules.policies, account.user, domain, lambda: self._groups(account), service
        )

    def _is_administrator(self, account: Account) -> bool:
        names = self._rules.administrators
        if account.user in names or account.user == ANONYMOUS:
            return True
        groups = {name.removeprefix("group:") for name in names if name.startswith("group:")}
        return bool(groups) and bool(shared_groups(groups, self._groups(account)))

    def _groups(self, account: Account) -> frozenset[str]:
        # Who logged in may be in no account source, and then is in no group.
        return self._directory.groups(account) if account.source else frozenset()

    def _entry(self, user: str) -> Entry | None:
        """The journal's entry, if it has one and can be read.

        A journal that cannot be used stops creation, but not the mail of those whose INBOX exists.
        """
        try:
            return self._journal.entry(user)
        except Temporary as error:
            log.info("%s: assuming that provisioning is complete: %s", user, error)
            return None


def _why_none(policy: Policy | None) -> str:
    why = policy and f"policy {policy.name!r} creates none{policy.why and f': {policy.why}'}"
    return why or "no policy matches"


def _gifts(report: ApplyResult) -> frozenset[str]:
    return frozenset(filter(None, map(user_removable, report.done)))
