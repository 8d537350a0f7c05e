"""One user at a time: does the account exist, does its mailbox exist, and if not, create it.

The journal is written before the first command goes to the mail store and struck out after the last,
so that a kill at any moment leaves a row that says what to finish. Which user is next, and how long a
caller waits, is decided by `autocreate.service.service`; nothing here knows of recipients or replies.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from autocreate.accounts.directory import Directory
from autocreate.core.naming import ANONYMOUS
from autocreate.core.policy import Policy, scripts_of
from autocreate.mailstore import MailStore
from autocreate.model import LMTP, Account, Address, Answer, Verdict
from autocreate.service.creation_limit import CreationLimit
from autocreate.service.creations import Creations, is_for_new, released, still_due
from autocreate.service.hooks import due_hook, with_event
from autocreate.service.journal import Entry
from autocreate.service.journal_creations import Creation
from autocreate.service.mailbox_cache import MailboxCache
from autocreate.service.policies import AccountRules, PolicyChooser
from autocreate.service.turns import Turns
from autocreate.service.unfinished import Unfinished
from autocreate.service.work import DecisionRequest, Work
from autocreate.tree.actions import CreateMailbox
from autocreate.tree.languages import settled, with_alternatives
from autocreate.tree.plan import (
    ApplyResult,
    by_error,
    difference,
    notes_of,
    removable,
    without_user_removed,
)
from autocreate.tree.values import Script, Tree

log = logging.getLogger(__name__)

UNKNOWN_USER = "no account source knows this user"


class Provisioner:
    """Decides about users, and makes what their policies call for.

    Callers see to it that no two calls for one user run at once.

    Args:
        unfinished: notes what is being made, and when it is tried again.
        creations: holds new mailboxes, for what happens once.
        mailboxes: is told which mailboxes exist.
        created: is told of each mailbox that was created: its policy, and the domain it was for.
        limit: says how many mailboxes may be created in a minute.
        turns: keeps other processes from the user that this one works on.
        news: is told of each user who got a mailbox.
    """

    def __init__(
        self,
        rules: AccountRules,
        directory: Directory,
        store: MailStore,
        unfinished: Unfinished,
        creations: Creations,
        mailboxes: MailboxCache,
        created: Callable[[str, str], None] = lambda _policy, _domain: None,
        limit: CreationLimit = CreationLimit(),  # noqa: B008 -- without limits it keeps no state
        turns: Turns | None = None,
        news: Callable[[str], None] = lambda _user: None,
    ) -> None:
        self._rules = rules
        self._policies = PolicyChooser(rules, directory)
        self._directory = directory
        self._store = store
        self._unfinished = unfinished
        self._creations = creations
        self._mailboxes = mailboxes
        self._created = created
        self.limit = limit
        self.turns = turns or Turns()
        self._news = news

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The first that matches decides."""
        return self._rules.policies

    def decide(self, request: DecisionRequest) -> Verdict:
        """What to answer about a user, once its tree is made as far as it can be made now.

        Raises:
            Temporary: an account source, the mail store or the journal cannot tell.
            CreationLimited: too many mailboxes were created within a minute.
            Refused: the mail store can have no such user.
        """
        verdict = self._decide(request)
        if request.entry is not None:
            # Here, and not by who waits: that may be for a recipient's verdict, which says nothing
            # about the entry.
            self._unfinished.conclude(request.entry, verdict)
        return verdict

    def find_mailbox(self, user: str) -> Verdict:
        """`ACCEPT` if a user's mailbox exists, `UNKNOWN` if not. Asks Cyrus alone.

        Raises:
            Temporary, Refused: the mail store cannot tell.
        """
        if user == ANONYMOUS or not self._store.exists(user):
            return Verdict(Answer.UNKNOWN, "INBOX does not exist", user)
        return Verdict(Answer.ACCEPT, "INBOX exists", user)

    def recall(self, user: str) -> Account | None:
        """The account of a user, or None if nobody has it. See `Directory.recall`."""
        return self._directory.recall(user)

    def is_exempt(self, address: Address, user: str) -> bool:
        """Is a user who has an account to have no mailbox, by the policies?

        Raises:
            Temporary: an account source cannot tell.
        """
        account = self._directory.find(user)
        if account is None:
            return False
        if self._policies.is_administrator(account):
            return True
        return self._policies.choose(address, account, LMTP).policy is None

    def gives_mailbox(self, address: Address, user: str) -> bool | None:
        """Is a user who is known to have an account to have a mailbox, by the policies?

        Looks nothing up. None: that depends on the account's groups; `is_exempt` looks them up.
        """
        return self._policies.gives_mailbox(address, user)

    def update(self, address: Address, user: str, restore: bool) -> Verdict:
        """What would bring an existing tree to today's policy. Changes nothing: see `apply`.

        What the user was given once and has removed since is left out.

        Args:
            address: whose domain may choose the policy.
            restore: bring that back, too.

        Raises:
            Temporary, Refused: as for `decide`.
        """
        account = self._directory.find(user)
        if account is None:
            return Verdict(Answer.UNKNOWN, UNKNOWN_USER, user)
        nothing = Verdict(Answer.PASS, "has no mailbox to update", user, account.source)
        if self._policies.is_administrator(account):
            return nothing
        policy, why_none = self._policies.choose(address, account, LMTP)
        if policy is None:
            return Verdict(Answer.PASS, why_none, user, account.source)
        planned, _ = self._planned(account, policy, address, LMTP, exists=True)
        assert planned.plan is not None
        plan = planned.plan
        if any(isinstance(it, CreateMailbox) and not it.path for it in plan.actions):
            return nothing
        if plan.actions and not restore:
            plan = without_user_removed(plan, self._unfinished.provisioned(user))
        reason = "differs from its policy" if plan.actions else "matches its policy"
        return replace(planned, reason=reason, plan=plan)

    def apply(self, address: Address, verdict: Verdict) -> Verdict:
        """Do what `update` planned.

        Raises:
            Temporary: the journal cannot be written.
        """
        with self.turns.turn(verdict.user) as is_alone:
            return self._apply(verdict, address, LMTP, existed=True, usable=True, is_alone=is_alone)

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
        """What account sources, Cyrus, limits and the journal tell of themselves, as JSON has it.

        `unfinished` is None while the journal cannot tell.
        """
        return {
            "sources": self._directory.snapshot(),
            "cyrus": self._store.snapshot(),
            "limits": self.limit.snapshot(),
            "turns": self.turns.snapshot(),
            "unfinished": self._unfinished.count(),
        }

    def _decide(self, request: DecisionRequest) -> Verdict:
        found = self._look(request)
        if isinstance(found, Verdict):
            return found
        with self.turns.turn(request.user) as is_alone:
            if self._is_overtaken(found):
                found = self._look(request, is_alone)
                if isinstance(found, Verdict):
                    return found
            return self._make(found, request, is_alone)

    def _is_overtaken(self, work: Work) -> bool:
        """Has another process worked on this since it was planned?"""
        if not self.turns.are_shared:
            return False
        user = work.verdict.user
        if work.begun is None:
            return self._store.exists(user)
        return self._unfinished.begun(user) != work.begun

    def _look(self, request: DecisionRequest, is_alone: bool = False) -> Verdict | Work:
        """The verdict, or what is to be made for it.

        Args:
            is_alone: no other process works on this user.
        """
        address, user, apply, service, entry, account = request
        generation = self._mailboxes.generation
        if account is None:
            account = self._directory.find(user) if service == LMTP else Account(user, "")
        if account is None:
            return Verdict(Answer.UNKNOWN, UNKNOWN_USER, user)
        # `anonymous` is a word of access control lists: Cyrus can have no mailbox for it.
        exists = user != ANONYMOUS and self._store.exists(user)
        begun = None
        if exists:
            # The entry that is due may have been finished since the journal was read.
            begun = self._unfinished.begun(user, must_know=entry is not None)
            if begun is None:
                self._mailboxes.add(user, generation)
                return Verdict(Answer.ACCEPT, "INBOX exists", user, account.source)
            if entry is None and self._unfinished.can_wait(begun, service, is_alone):
                return Verdict(Answer.ACCEPT, begun.why_waiting, user, account.source)
        if service != LMTP:
            known = self._directory.find(user)
            if known is None and not exists and entry and self._unfinished.is_expired(entry):
                why = "the login is too long ago, and no account source knows this user"
                return Verdict(Answer.UNKNOWN, why, user)
            account = known or account
        if self._policies.is_administrator(account):
            return self._not_to_create(account, service, exists, "administrators get no mailbox")
        policy, why_none = self._policies.choose(address, account, service)
        if policy is None:
            why = f"no mailbox for this user: {why_none}"
            return self._not_to_create(account, service, exists, why)
        verdict, present = self._planned(account, policy, address, service, exists)
        for problem in verdict.notes:
            log.error("%s: %s", user, problem)
        return Work(verdict, begun, present) if apply else verdict

    def _not_to_create(self, account: Account, service: str, exists: bool, why: str) -> Verdict:
        user, source = account.user, account.source
        if exists:
            return Verdict(Answer.ACCEPT, f"INBOX exists; {why}", user, source)
        if service == LMTP and user != ANONYMOUS:  # the answer to a login is none
            self._store.confirm_missing(user)
        return Verdict(Answer.UNKNOWN, why, user, source)

    def _make(self, work: Work, request: DecisionRequest, is_alone: bool) -> Verdict:
        """Apply a plan; that of a user without a mailbox, if so many may be created now."""
        address, service = request.address, request.service
        if work.begun is not None:
            return self._apply(
                *(work.verdict, address, service),
                existed=True,
                present=work.present,
                is_alone=is_alone,
            )
        with self.limit.creation(self._domain(address)) as count:
            verdict = self._apply(work.verdict, address, service, existed=False, is_alone=is_alone)
            if verdict.created:
                count()
            return verdict

    def _domain(self, address: Address) -> str:
        """The domain that a mailbox is created for."""
        return address.domain or self._rules.users.default_domain

    def _planned(
        self, account: Account, policy: Policy, address: Address, service: str, exists: bool
    ) -> tuple[Verdict, frozenset[str]]:
        """What is missing of an account's tree, as a plan; and what its user has and may remove."""
        user = account.user
        wanted, problems = policy.tree_for(account, self._store.version)
        observed = Tree()
        if exists:
            observed = self._store.observe(user, with_alternatives(wanted))
            wanted = settled(wanted, observed)
        is_new, is_welcomed = self._is_new(user, policy, exists)
        if is_new:
            welcome, lacking = policy.welcome_for(
                account, address, self._rules.users.default_domain
            )
            wanted, problems = replace(wanted, welcome=welcome), (*problems, *lacking)
            observed = replace(observed, welcome=welcome if is_welcomed else None)
        plan = self._store.placed(difference(user, policy.name, wanted, observed))
        whole = difference(user, policy.name, wanted, Tree()) if exists else plan
        if is_new and policy.hook:
            plan = replace(plan, hook=with_event(policy.hook, account, address, service, whole))
        reason = (
            "INBOX exists, its tree is incomplete" if exists else "has an account and no mailbox"
        )
        present = removable(whole.actions) - removable(plan.actions)
        verdict = Verdict(
            Answer.ACCEPT, reason, user, account.source, policy.name, plan, notes=problems
        )
        return verdict, present

    def _is_new(self, user: str, policy: Policy, exists: bool) -> tuple[bool, bool]:
        """Is a mailbox new, so that it gets what only a new one gets? And has it the welcome message?

        Only the journal knows it of one that exists. It is asked only if there is something to get.
        """
        if not exists:
            return True, False
        if not (policy.welcome or policy.hook):
            return False, False
        creation = self._creations.of(user)
        return creation is not None, creation is not None and creation.welcomed

    def _apply(
        self,
        verdict: Verdict,
        address: Address,
        service: str,
        existed: bool,
        usable: bool = False,
        present: frozenset[str] = frozenset(),
        is_alone: bool = False,
    ) -> Verdict:
        """Apply a verdict's plan between its first and its last line in the journal.

        Args:
            present: of an unfinished tree what an attempt made whose end is not in the journal.
            is_alone: no other process works on this user.
        """
        assert verdict.plan is not None
        user = verdict.user
        generation = self._mailboxes.generation
        plan, creation, held = verdict.plan, None, None
        if is_for_new(plan) and not existed:
            creation = self._creations.new(user)
        entry = self._unfinished.begin(user, address, service, usable, creation)
        if is_for_new(plan):
            held = self._creations.held(user, is_alone)
            if held is None or held != creation:
                plan = still_due(plan, held, self._store.exists)
        result = self._store.apply(plan)
        _log_result(user, result)
        created = not existed and result.usable
        verdict = replace(verdict, report=result, created=created)
        if created:
            # Here and nowhere else, so that the log has one such line for each mailbox: whoever
            # asked may have left at the deadline, or several may have asked.
            log.info("%s: mailbox created, by policy %r", user, verdict.policy)
            self._created(verdict.policy, self._domain(address))
            self._news(user)
        if result.failed:
            return self._left_unfinished(entry, result, verdict, held)
        self._unfinished.finish(user, removable(result.done) | present, due_hook(result))
        self._mailboxes.add(user, generation)
        reason = "completed" if existed else "created"
        return replace(verdict, reason=reason, notes=(*verdict.notes, *notes_of(result.skipped)))

    def _left_unfinished(
        self, entry: Entry, result: ApplyResult, verdict: Verdict, held: Creation | None
    ) -> Verdict:
        first = result.failed[0]
        error = f"could not {first.action.description}: {first.error}"
        begun = self._unfinished.begun(entry.user) or entry
        begun = replace(begun, usable=result.usable)
        self._unfinished.postpone(begun, error, removable(result.done), released(held, result))
        notes = (*verdict.notes, *notes_of(result.failed))
        if not result.usable:
            return replace(verdict, answer=Answer.TEMPORARY, reason=error, notes=notes)
        return replace(verdict, reason=f"INBOX exists, the rest is retried: {error}", notes=notes)


def _log_result(user: str, result: ApplyResult) -> None:
    if result.done:
        log.info("%s: done: %s", user, ", ".join(it.description for it in result.done))
    for what, error in by_error(result.skipped):
        log.warning("%s: could not %s, will not retry: %s", user, what, error)
    for what, error in by_error(result.failed):
        log.error("%s: could not %s: %s", user, what, error)
