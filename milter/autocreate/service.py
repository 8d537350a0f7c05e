"""The use cases: verify a recipient, provision a user, complete what is unfinished.

The one rule is kept here: accept only when the account exists and its mailbox stands, say unknown
only when every source said no, and be temporary about every doubt. Databases, Cyrus and the journal
are reached through their ports; front ends hand in a `Recipient` and turn the `Verdict` into a reply.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from autocreate.accounts import AccountSource
from autocreate.core.address import domain_of, is_postmaster, parse
from autocreate.core.naming import ANONYMOUS, Users
from autocreate.core.plan import describe, difference
from autocreate.core.policy import Policy, select
from autocreate.errors import AutocreateError, Malformed, Temporary
from autocreate.flights import Flights
from autocreate.journal import Entry, Journal
from autocreate.mailstore import MailStore
from autocreate.model import Account, Address, Answer, Failure, Recipient, Report, Tree, Verdict
from autocreate.ready import Ready

log = logging.getLogger(__name__)

ANY_DOMAIN = "*"

# Another MTA that shares the journal leaves a fresh entry alone for this long, in seconds.
_GRACE = 60.0
_LONGEST_PAUSE = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What an administrator decided about recipients.

    Args:
        domains: ours, as lower-case A-labels; `*` for all that come with one of our mailers.
        mailers: the transports that deliver to Cyrus.
        users: how addresses become user ids.
        policies: the first that matches decides.
        administrators: users who never get a mailbox.
        deadline: seconds until the verdict, whatever happens.
        dry_run: decide everything, do nothing, withhold every answer.
    """

    domains: frozenset[str]
    mailers: frozenset[str]
    users: Users
    policies: tuple[Policy, ...]
    administrators: frozenset[str] = frozenset()
    deadline: float = 8.0
    dry_run: bool = False


class Service:
    """The program's use cases. Safe to call from several threads at once.

    Args:
        sources: asked in this order.
        flights: runs the work, one piece at a time per user.
        ready: remembers whose mailbox stands.
        clock: the time in seconds since the epoch.
    """

    def __init__(
        self,
        rules: Rules,
        sources: Sequence[AccountSource],
        store: MailStore,
        journal: Journal,
        flights: Flights[Verdict],
        ready: Ready,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.rules = rules
        self._sources = {source.name: source for source in sources}
        self._store = store
        self._journal = journal
        self._flights = flights
        self._ready = ready
        self._clock = clock

    def verify(self, recipient: Recipient) -> Verdict:
        """Decide about a recipient, and create its mailbox where that is called for.

        Never raises for anything a client or a server did, and returns within the deadline.
        """
        until = time.monotonic() + self.rules.deadline
        verdict = self._judge(recipient, until, apply=not self.rules.dry_run)
        if self.rules.dry_run:
            self._record(recipient, verdict, until)
            return replace(verdict, withheld="dry run")
        if not recipient.refusable and verdict.reply:
            return replace(verdict, withheld="not by SMTP")
        return verdict

    def preview(self, recipient: Recipient) -> Verdict:
        """What `verify` would decide, with the plan it would carry out. Changes nothing."""
        return self._judge(recipient, time.monotonic() + self.rules.deadline, apply=False)

    def provision(self, address: Address, apply: bool = True) -> Verdict:
        """Make sure that a user's mailbox stands, whatever its domain. Else as `verify`.

        Args:
            apply: False only plans.
        """
        return self._decided(address, self.rules.deadline, apply)

    def policy_for(self, address: Address) -> str:
        """The name of the policy for an address, or "" if there is none for it.

        Raises:
            Temporary: a source did not answer.
        """
        user = self.rules.users.user_id(address)
        account = self._account(user)
        policy = self._policy(address, account) if account else None
        return policy.name if policy else ""

    def unfinished(self, everything: bool) -> list[Entry]:
        """The journal's entries that are due for another attempt, or all of them.

        Raises:
            Temporary: the journal cannot be read.
        """
        return self._journal.due(math.inf if everything else self._clock(), limit=1000)

    def complete(self, entry: Entry) -> Verdict:
        """Try again to finish a tree that was begun.

        Raises:
            Temporary: the journal cannot be written.
        """
        local, _, domain = entry.address.rpartition("@")
        address = Address(local, domain) if local else Address(domain)
        verdict = self._decided(address, self.rules.deadline, apply=True, entry=entry)
        if verdict.answer is Answer.UNKNOWN:
            log.warning("%s: begun, but not to be finished: %s", entry.user, verdict.reason)
            self._journal.finish(entry.user)
        elif verdict.answer is Answer.TEMPORARY:
            self._postpone(entry, verdict.reason)
        return verdict

    def close(self) -> None:
        """Take no new work and let go of every connection."""
        self._flights.close()
        for source in self._sources.values():
            source.close()
        self._store.close()
        self._journal.close()

    def _judge(self, recipient: Recipient, until: float, apply: bool) -> Verdict:
        """Is this recipient ours, and is it an address? If so, decide about its user."""
        rules = self.rules
        if recipient.mailer is not None and recipient.mailer not in rules.mailers:
            return Verdict(Answer.PASS, f"mailer {recipient.mailer!r} is not ours")
        written = _as_the_mta_sees_it(recipient)
        domain = domain_of(written)
        if domain and not rules.domains & {domain, ANY_DOMAIN}:
            return Verdict(Answer.PASS, f"domain {domain!r} is not ours")
        try:
            address = parse(written)
        except Malformed as error:
            return Verdict(Answer.MALFORMED, str(error))
        verdict = self._decided(address, until - time.monotonic(), apply)
        if verdict.answer is Answer.UNKNOWN and is_postmaster(address):
            return replace(verdict, answer=Answer.PASS, reason="postmaster is never refused")
        return verdict

    def _decided(
        self, address: Address, timeout: float, apply: bool, entry: Entry | None = None
    ) -> Verdict:
        """The decision about an address of ours, by whoever is working on its user already."""
        user = self.rules.users.user_id(address)
        if not user:
            return Verdict(
                Answer.PASS, "names no user but a shared folder, which is Cyrus's to judge"
            )
        if entry is None and user in self._ready:
            return Verdict(Answer.ACCEPT, "known to stand", user)
        try:
            # What is only looked at must not be answered by, or for, what is being done.
            key = user if apply else f"preview {user}"
            return self._flights.join(
                key, lambda: self._decide(address, user, apply, entry), timeout
            )
        except AutocreateError as error:
            return Verdict(Answer.TEMPORARY, str(error), user)
        except Exception as error:
            log.exception("%s: a defect of this program", user)
            return Verdict(Answer.TEMPORARY, f"internal error: {error!r}", user)

    def _decide(self, address: Address, user: str, apply: bool, entry: Entry | None) -> Verdict:
        account = self._account(user)
        if account is None:
            return Verdict(Answer.UNKNOWN, "no account source knows this user", user)
        stands = self._store.exists(user)
        if stands:
            begun = entry or self._entry(user)
            if begun is None or (entry is None and begun.usable and begun.next_try > self._clock()):
                return self._accept(account, begun)
        if user in self.rules.administrators or user == ANONYMOUS:
            return self._not_to_create(account, stands, "administrators get no mailbox")
        policy = self._policy(address, account)
        if policy is None or not policy.create:
            name = f"policy {policy.name!r} creates none" if policy else "no policy matches"
            return self._not_to_create(account, stands, f"no mailbox for this user: {name}")
        observed = self._store.observe(user, policy.tree) if stands else Tree()
        verdict = Verdict(
            Answer.ACCEPT,
            "INBOX stands, its tree is incomplete" if stands else "has an account and no mailbox",
            user,
            account.source,
            policy.name,
            difference(user, policy.name, policy.tree, observed),
        )
        return self._carry_out(address, verdict, stands) if apply else verdict

    def _accept(self, account: Account, begun: Entry | None) -> Verdict:
        if begun is None:
            self._ready.add(account.user)
            return Verdict(Answer.ACCEPT, "INBOX stands", account.user, account.source)
        reason = f"INBOX stands, the rest is tried again later: {begun.error}"
        return Verdict(Answer.ACCEPT, reason, account.user, account.source)

    def _not_to_create(self, account: Account, stands: bool, reason: str) -> Verdict:
        answer = Answer.ACCEPT if stands else Answer.UNKNOWN
        reason = f"INBOX stands; {reason}" if stands else reason
        return Verdict(answer, reason, account.user, account.source)

    def _carry_out(self, address: Address, verdict: Verdict, stood: bool) -> Verdict:
        """Apply a verdict's plan between its first and its last line in the journal."""
        assert verdict.plan is not None
        user = verdict.user
        entry = Entry(user, str(address), next_try=self._clock() + _GRACE)
        self._journal.begin(entry)
        report = self._store.apply(verdict.plan)
        for action, error in report.skipped:
            log.warning("%s: could not %s, and will not: %s", user, describe(action), error)
        for action, error in report.failed:
            log.error("%s: could not %s: %s", user, describe(action), error)
        created = not stood and report.usable
        if report.failed:
            return self._left_unfinished(entry, report, replace(verdict, created=created))
        try:
            self._journal.finish(user)
        except Temporary as error:
            # The tree stands. The entry that stays behind costs one more look at it, no more.
            log.error("%s: its tree stands, but %s", user, error)
        self._ready.add(user)
        reason = "completed" if stood else "created"
        return replace(verdict, reason=reason, created=created, notes=_notes(report.skipped))

    def _left_unfinished(self, entry: Entry, report: Report, verdict: Verdict) -> Verdict:
        first = report.failed[0]
        error = f"could not {describe(first.action)}: {first.error}"
        begun = self._entry(entry.user) or entry
        self._postpone(replace(begun, usable=report.usable), error)
        notes = _notes(report.failed)
        if not report.usable:
            return replace(verdict, answer=Answer.TEMPORARY, reason=error, notes=notes)
        return replace(
            verdict, reason=f"INBOX stands, the rest is tried again: {error}", notes=notes
        )

    def _postpone(self, entry: Entry, error: str) -> None:
        """Note another attempt that left something missing, and when to make the next."""
        pause = min(_GRACE * 2**entry.attempts, _LONGEST_PAUSE)
        later = replace(
            entry, attempts=entry.attempts + 1, next_try=self._clock() + pause, error=error
        )
        try:
            self._journal.fail(later)
        except Temporary as failure:
            log.error("%s: %s; its entry is tried again as it is", entry.user, failure)

    def _account(self, user: str) -> Account | None:
        """The account of a user: a yes of any source, else a no of all."""
        doubts = []
        for source in self._sources.values():
            try:
                if account := source.lookup(user):
                    return account
            except Temporary as error:
                doubts.append(f"accounts.{source.name}: {error}")
        if doubts:
            raise Temporary("; ".join(doubts))
        return None

    def _policy(self, address: Address, account: Account) -> Policy | None:
        source = self._sources[account.source]
        domain = address.domain or self.rules.users.default_domain
        return select(self.rules.policies, account.user, domain, lambda: source.groups(account))

    def _entry(self, user: str) -> Entry | None:
        """The journal's entry, if it has one and can be read.

        A journal that is out of order stops creation, but not the mail of those whose INBOX stands.
        """
        try:
            return self._journal.entry(user)
        except Temporary as error:
            log.error("%s: taken for finished, since the %s", user, error)
            return None

    def _record(self, recipient: Recipient, verdict: Verdict, until: float) -> None:
        if verdict.answer is Answer.PASS and not verdict.user:
            return  # somebody else's mail
        try:
            self._flights.join(
                f"record {recipient.argument}",
                lambda: self._recorded(recipient, verdict),
                max(0.1, until - time.monotonic()),
            )
        except AutocreateError as error:
            log.error("dry run: not recorded: %s", error)

    def _recorded(self, recipient: Recipient, verdict: Verdict) -> Verdict:
        self._journal.record(recipient, verdict)
        return verdict


def _as_the_mta_sees_it(recipient: Recipient) -> str:
    """The address that the MTA will deliver, in the client's spelling where that is only a spelling.

    Postfix's `{rcpt_addr}` is rewritten (source routes, bare local parts) and in lower case.
    Sendmail's is the local part alone, for a local mailer.
    """
    argument, rewritten = recipient.argument.strip(), recipient.rewritten
    if not rewritten:
        return argument
    if argument.strip("<>").lower() == rewritten.strip("<>").lower():
        return argument
    if "@" in rewritten:
        return rewritten
    domain = domain_of(argument)
    return f"{rewritten}@{domain}" if domain else rewritten


def _notes(failures: Sequence[Failure]) -> tuple[str, ...]:
    return tuple(f"could not {describe(action)}: {error}" for action, error in failures)
