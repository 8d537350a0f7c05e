"""The use cases: verify a recipient, handle a login, complete what is unfinished.

The one rule is kept here: accept only when the account and its mailbox exist, answer unknown only when
every source said no, and defer in every other case; within a deadline, and one piece of work at a time
per user. Front ends hand in a `Recipient` and turn the `Verdict` into a reply;
`autocreate.service.recipients` decides about it.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import lru_cache, partial
from typing import Any

from autocreate.aliases.resolver import Aliases
from autocreate.core.address import parse
from autocreate.domains.hosted import DomainTables, find_domain
from autocreate.errors import Malformed, Temporary
from autocreate.lmtp.delivery_check import DeliveryCheck
from autocreate.model import (
    DRY_RUN,
    DRY_RUN_REFUSED,
    LMTP,
    NOT_BY_SMTP,
    Address,
    Answer,
    Login,
    Recipient,
    Verdict,
)
from autocreate.resilience.single_flight import SingleFlight
from autocreate.service.creation_limit import CreationLimit
from autocreate.service.decisions import Decisions
from autocreate.service.dry_run_records import DryRunRecords
from autocreate.service.hooks import Hooks
from autocreate.service.journal import Entry, Journal
from autocreate.service.journal_leases import Duty, JournalLease
from autocreate.service.logins import begin_login
from autocreate.service.mailbox_cache import MailboxCache
from autocreate.service.message import Kind, Message
from autocreate.service.provisioner import Provisioner
from autocreate.service.recipients import SHARED_FOLDER, RecipientRules, Recipients
from autocreate.service.unfinished import Unfinished
from autocreate.service.work import DecisionRequest
from autocreate.statistics.recorder import Statistics
from autocreate.tree.values import Script

log = logging.getLogger(__name__)

_MOST_TREES = 20  # that are named


class Service:
    """The program's use cases. Safe to call from several threads at once.

    Args:
        single_flight: runs the work, one piece at a time per user; the service that takes over after a reload
            joins it.
        mailboxes: remembers which mailboxes exist.
        unfinished: when unfinished trees are tried again.
        hooks: what is run for new mailboxes, and when. In dry run there are none.
        release: closes every connection and file below.
        aliases: where an address leads; None: there are no aliases.
        domains: tables of further domains of ours; None: there are none.
        delivery: asks Cyrus's lmtpd before mail is accepted; None: it is not asked.
    """

    def __init__(
        self,
        rules: RecipientRules,
        provisioner: Provisioner,
        journal: Journal,
        unfinished: Unfinished,
        hooks: Hooks,
        single_flight: SingleFlight[Verdict],
        mailboxes: MailboxCache,
        release: Callable[[], None],
        aliases: Aliases | None = None,
        domains: DomainTables | None = None,
        delivery: DeliveryCheck | None = None,
    ) -> None:
        self.rules = rules
        self._provisioner = provisioner
        self._journal = journal
        self._dry_run = DryRunRecords(journal, single_flight)
        self._unfinished = unfinished
        self.hooks = hooks
        self._decisions = Decisions(provisioner, single_flight, mailboxes)
        self._recipients = Recipients(
            rules, self._decisions, self._mailbox_vanished, aliases, domains, delivery
        )
        # It depends on the rules alone, and is a tenth of a known user's login.
        self._begin_login = lru_cache(4096)(partial(begin_login, rules))
        self.single_flight = single_flight
        self._mailboxes = mailboxes
        self._release = release
        self._aliases = aliases
        self._domains = domains
        self._delivery = delivery

    def verify(self, recipient: Recipient) -> Verdict:
        """Decide about a recipient, and create its mailbox where that is called for.

        Never raises for anything a client or a server did, and returns within the deadline.
        """
        until = time.monotonic() + self.rules.deadline
        verdict = self._recipients.judge(recipient, until, apply=not self.rules.dry_run)
        if self.rules.dry_run:
            self._dry_run.record(recipient, verdict, until)
            return replace(verdict, suppressed=DRY_RUN_REFUSED if recipient.is_refused else DRY_RUN)
        if not recipient.refusable and verdict.reply:
            return replace(verdict, suppressed=NOT_BY_SMTP)
        return verdict

    def recall(self, argument: str, rewritten: str | None, mailer: str | None) -> Verdict | None:
        """What `verify` would answer, if it is known without asking: see `Recipients.recall`."""
        return None if self.rules.dry_run else self._recipients.recall(argument, rewritten, mailer)

    def log_in(self, login: Login, timeout: float | None = None) -> Verdict:
        """Make sure that the mailbox of a user who logs in exists, if there is to be one.

        Never raises for anything a client or a server did, and returns within `timeout`. The login
        succeeds whatever the verdict. After `Answer.TEMPORARY`, call `schedule_retry`.

        Args:
            timeout: seconds, if other than by the rules.
        """
        decided = self._begin_login(login)
        if isinstance(decided, Verdict):
            return decided
        rules = self.rules
        until = time.monotonic() + (rules.login_timeout if timeout is None else timeout)
        verdict = self._decisions.decide(decided, until)
        if rules.dry_run:
            self._dry_run.record(
                Recipient(str(decided.address), mailer=login.service), verdict, until
            )
            return replace(verdict, suppressed=DRY_RUN)
        return verdict

    def recall_login(self, login: Login) -> Verdict | None:
        """What `log_in` would answer, if it is known without asking; None otherwise. Does not wait."""
        decided = self._begin_login(login)
        if isinstance(decided, Verdict):
            return decided
        return None if self.rules.dry_run else self._decisions.recall(decided.user)

    def schedule_retry(self, login: Login) -> None:
        """Have the mailbox of a login that could not wait looked after as soon as possible.

        Separate from `log_in`, so that the login is answered before the journal is written.
        """
        address = self.rules.users.login(login.name, login.realm)
        user = self.rules.users.login_id(address)
        try:
            self._unfinished.schedule(address, user, login.service, "not created in time")
        except Temporary as error:
            log.error("%s: retry not scheduled: %s", user, error)

    def follow_news(self) -> None:
        """Forget, from now on, what other MTAs with the same journal say is over."""
        self._journal.news.listen(self._heard, self.invalidate_accounts)

    def end_news(self) -> None:
        """Tell other MTAs what they have not been told yet, if that is possible at once, and hear nothing more."""
        self._journal.news.close()

    def invalidate(self, user: str) -> None:
        """Forget that a user's mailbox exists, and have other MTAs forget it."""
        self._forget_mailbox(user)
        self._journal.news.tell(Kind.DELETED, user)

    def invalidate_everywhere(self, user: str | None = None) -> None:
        """`invalidate_accounts`, here and at other MTAs with the same journal."""
        self.invalidate_accounts(user)
        self._journal.news.tell(Kind.CLEARED, user)

    def invalidate_accounts(self, user: str | None = None) -> None:
        """Ask all tables again, and account sources and Cyrus about a user or everyone."""
        user = None if user is None else self.rules.users.of_account(user)
        if self._domains:
            self._domains.invalidate()
        if self._aliases:
            self._aliases.invalidate()
        self._provisioner.invalidate(user)
        if self._delivery:
            self._delivery.invalidate(user)
        if user is None:
            self._mailboxes.clear()
        else:
            self._mailboxes.discard(user)
        self._decisions.invalidate()

    def stats(self) -> dict[str, Any]:
        """The state of caches, account sources and Cyrus's connections, as JSON has it."""
        return {
            "ready": self._mailboxes.snapshot(),
            "domains": self._domains.snapshot() if self._domains else None,
            "aliases": self._aliases.snapshot() if self._aliases else None,
            "lmtp": self._delivery.snapshot() if self._delivery else None,
            "hooks": self._hooks_left(),
            "news": self._journal.news.snapshot(),
            **self._provisioner.stats(),
        }

    def status(self) -> dict[str, Any]:
        """`stats`, the mode, whether the journal answers, and the unfinished trees that are tried next."""
        return {
            "mode": "dry-run" if self.rules.dry_run else "enforce",
            **self.stats(),
            "trees": [asdict(it) for it in self._unfinished.first(_MOST_TREES)],
            "journal": self._unfinished.journal_state,
        }

    def save(self, statistics: Statistics) -> None:
        """Write what was counted to the journal.

        Raises:
            Temporary: the journal cannot be written; the counts are kept.
        """
        statistics.save(self._journal.tally)

    def has_domain(self, domain: str) -> bool:
        """Is a domain ours, or may any be?

        Raises:
            Temporary: a lookup in a table of domains failed.
        """
        rules = self.rules
        return find_domain(domain, True, rules.domains, self._domains, rules.deadline).is_hosted

    def preview(self, recipient: Recipient) -> Verdict:
        """What `verify` would decide, with the plan that it would apply. Changes nothing."""
        return self._recipients.judge(
            recipient, time.monotonic() + self.rules.deadline, apply=False
        )

    def check(self, recipient: Recipient) -> Verdict:
        """What `verify` will decide about a recipient that it is asked about next. Creates nothing.

        In dry run the verdict is recorded, and `suppressed`; `find_mailbox` says what is to be answered.
        """
        until = time.monotonic() + self.rules.deadline
        verdict = self._recipients.judge(recipient, until, apply=False)
        if self.rules.dry_run:
            self._dry_run.record(recipient, verdict, until)
            return replace(verdict, suppressed="dry run")
        return verdict

    def find_mailbox(self, recipient: Recipient) -> Verdict:
        """Does a recipient have a mailbox in Cyrus, whatever account sources, domains and aliases say?

        `ACCEPT`, `UNKNOWN`, `MALFORMED` or `TEMPORARY`; `PASS` if it names a shared folder and no user. Never
        raises, as `verify`.
        """
        try:
            address = parse(recipient.argument)
        except Malformed as error:
            return Verdict(Answer.MALFORMED, str(error))
        user = self.rules.users.user_id(address)
        if not user:
            return Verdict(Answer.PASS, SHARED_FOLDER)
        return self._decisions.find_mailbox(user, time.monotonic() + self.rules.deadline)

    def provision(self, address: Address, apply: bool = True, is_user: bool = False) -> Verdict:
        """Make sure that the mailboxes behind an address exist, whatever its domain. Else as `verify`.

        Args:
            apply: False only plans.
            is_user: the address is a user's; aliases are not followed.
        """
        until = time.monotonic() + self.rules.deadline
        apply = apply and not self.rules.dry_run
        decide = self._recipients.decide_user if is_user else self._recipients.decide
        verdict = decide(address, until, apply)
        return replace(verdict, suppressed=DRY_RUN) if self.rules.dry_run else verdict

    def provision_account(self, user: str, address: Address) -> Verdict:
        """`provision` for a user whose account has just appeared; recorded in dry run.

        After `Answer.TEMPORARY`, call `schedule_account`, unless the verdict is `limited`.

        Args:
            address: the one by which the user's policy is chosen.
        """
        verdict = self.provision(address, is_user=True)
        if self.rules.dry_run:
            self._dry_run.record(Recipient(user), verdict, time.monotonic() + self.rules.deadline)
        return verdict

    def schedule_account(self, user: str, address: Address, reason: str) -> None:
        """Note in the journal that a user is to be looked at as soon as possible.

        Raises:
            Temporary: the journal cannot be written.
        """
        self._unfinished.schedule(address, user, LMTP, reason)

    def invalidate_user(self, user: str) -> None:
        """Forget what was remembered about a user's account and mailbox."""
        self._provisioner.invalidate(user)
        self._mailboxes.discard(user)

    def scripts(self) -> tuple[tuple[str, Script], ...]:
        """The Sieve scripts that policies give, each with the policy's name."""
        return self._provisioner.scripts()

    def check_script(self, script: Script) -> tuple[str, ...]:
        """Check that a script compiles. Returns further notes for the administrator.

        Raises:
            Refused: it does not compile. Every error is given with its line.
            Temporary: it cannot be checked now.
        """
        return self._provisioner.check_script(script)

    def unfinished(self, everything: bool) -> list[Entry]:
        """The unfinished trees that are due for another attempt, or all of them.

        In dry run there are none: finishing one would create mailboxes.

        Raises:
            Temporary: the journal cannot be read.
        """
        return [] if self.rules.dry_run else self._unfinished.due(everything)

    @property
    def retries(self) -> JournalLease | None:
        """Which process retries unfinished trees; None in dry run, where none does."""
        return None if self.rules.dry_run else self._journal.lease(Duty.RETRIES)

    def complete(self, entry: Entry) -> Verdict:
        """Try again to finish a tree. Never raises, like `verify`."""
        local, _, domain = entry.address.rpartition("@")
        address = Address(local, domain) if local else Address(domain)
        until = time.monotonic() + self.rules.deadline
        request = DecisionRequest(address, entry.user, True, entry.service, entry)
        verdict = self._decisions.decide(request, until)
        if verdict.limited:
            self._unfinished.wait(entry)
        elif verdict.answer is Answer.TEMPORARY and verdict.plan is None:
            self._unfinished.postpone(entry, verdict.reason)
        return verdict

    @property
    def creation_limit(self) -> CreationLimit:
        """How many mailboxes may be created in a minute. The service that takes over keeps its counts."""
        return self._provisioner.limit

    def close(self) -> None:
        """Take no new work and close every connection."""
        if self._domains:
            self._domains.close()
        if self._aliases:
            self._aliases.close()
        if self._delivery:
            self._delivery.close()
        self.single_flight.close()
        self._release()

    def _hooks_left(self) -> int | None:
        """How many hooks are still to run; None while the journal cannot tell."""
        try:
            return self.hooks.count()
        except Temporary:
            return None

    def _heard(self, message: Message) -> None:
        """Forget what another MTA says is over. Nothing that it says is believed."""
        match message.kind:
            case Kind.CREATED if message.user:
                self._forget_account(message.user)
            case Kind.DELETED if message.user:
                self._forget_mailbox(message.user)
            case Kind.CLEARED:
                self.invalidate_accounts(message.user)

    def _forget_account(self, user: str) -> None:
        """Forget that a user was unknown, and that there was no mailbox."""
        self._provisioner.invalidate(user)
        if self._delivery:
            self._delivery.invalidate(user)
        self._decisions.invalidate()

    def _forget_mailbox(self, user: str) -> None:
        self._mailboxes.discard(user)
        if self._delivery:
            self._delivery.invalidate(user)

    def _mailbox_vanished(self, user: str) -> None:
        self.invalidate_user(user)
        self._journal.news.tell(Kind.DELETED, user)
