"""The use cases: verify a recipient, look after a login, complete what is unfinished.

The one rule is kept here: accept only when the account exists and its mailbox stands, say unknown
only when every source said no, and be temporary about every doubt; within a deadline, and one piece
of work at a time per user. Front ends hand in a `Recipient` and turn the `Verdict` into a reply.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from autocreate.aliases import Aliases
from autocreate.core.address import domain_of, is_postmaster, is_taken_by_cyrus, parse
from autocreate.core.combination import combined
from autocreate.core.naming import ANONYMOUS, Users
from autocreate.core.recipient import as_delivered, as_the_mta_sees_it, is_mapped_by
from autocreate.decisions import Decisions
from autocreate.delivery import DeliveryCheck
from autocreate.domains import DomainTables, find_domain
from autocreate.errors import AutocreateError, Malformed, Temporary
from autocreate.flights import Flights
from autocreate.journal import Entry, Journal
from autocreate.model import Address, Answer, Login, Recipient, Script, Verdict
from autocreate.provisioner import Provisioner, Question
from autocreate.ready import Ready
from autocreate.statistics import Statistics

log = logging.getLogger(__name__)

# Why an address does not exist that Postfix refuses.
ALIAS_DOMAIN = "has no alias, and its domain has nothing else"


@dataclass(frozen=True, slots=True)
class Rules:
    """What an administrator decided about recipients and logins.

    Args:
        domains: ours, as lower-case A-labels, besides those in tables; `*` for all that come with
            one of our mailers.
        mailers: the transports that deliver to Cyrus.
        users: how addresses become user ids.
        deadline: seconds until the verdict about a recipient, whatever happens.
        patience: seconds that a login waits for its mailbox.
        services: logins to these make mailboxes.
        exempt: users whose logins pass untouched: administrators, proxy servers, ourselves.
        dry_run: decide everything, do nothing, withhold every answer.
        quotes_dots: the MTA delivers local parts such as `a..b` in quotes, if they are no local names
            to it already.
        lowers_domains: the MTA writes our domains in lower case when it delivers.
    """

    domains: frozenset[str]
    mailers: frozenset[str]
    users: Users
    deadline: float = 8.0
    patience: float = 5.0
    services: frozenset[str] = frozenset(("imap", "pop3", "sieve"))
    exempt: frozenset[str] = frozenset()
    dry_run: bool = False
    quotes_dots: bool = True
    lowers_domains: bool = False


class Service:
    """The program's use cases. Safe to call from several threads at once.

    Args:
        flights: runs the work, one piece at a time per user; the service that takes over joins it.
        ready: remembers whose mailbox stands.
        release: lets go of every connection and file below.
        aliases: whom an address stands for; None: always for itself.
        domains: tables of further domains of ours; None: there are none.
        delivery: asks Cyrus's lmtpd before mail is accepted; None: nobody does.
    """

    def __init__(
        self,
        rules: Rules,
        provisioner: Provisioner,
        journal: Journal,
        flights: Flights[Verdict],
        ready: Ready,
        release: Callable[[], None],
        aliases: Aliases | None = None,
        domains: DomainTables | None = None,
        delivery: DeliveryCheck | None = None,
    ) -> None:
        self.rules = rules
        self._provisioner = provisioner
        self._journal = journal
        self._decisions = Decisions(provisioner, flights, ready)
        self.flights = flights
        self._ready = ready
        self._release = release
        self._aliases = aliases
        self._domains = domains
        self._delivery = delivery

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

    def log_in(self, login: Login, patience: float | None = None) -> Verdict:
        """Make sure that the mailbox of someone who logs in stands, or see why it need not.

        Never raises for anything a client or a server did, and returns as soon as `patience` is
        spent. Whatever the verdict, the login is none the worse for it. After `Answer.TEMPORARY`
        comes `come_back`.

        Args:
            patience: seconds, if other than by the rules.
        """
        rules = self.rules
        address = rules.users.login(login.name, login.realm)
        user = rules.users.login_id(address)
        if login.service not in rules.services:
            return Verdict(Answer.PASS, f"logins to {login.service!r} make no mailbox", user)
        if user in rules.exempt or user == ANONYMOUS:
            return Verdict(Answer.PASS, "administrators get no mailbox", user)
        if not user:
            return Verdict(Answer.PASS, "nobody of that name can have a mailbox")
        until = time.monotonic() + (rules.patience if patience is None else patience)
        question = Question(address, user, not rules.dry_run, login.service)
        verdict = self._decisions.decide(question, until)
        if rules.dry_run:
            self._record(Recipient(str(address), mailer=login.service), verdict, until)
            return replace(verdict, withheld="dry run")
        return verdict

    def come_back(self, login: Login) -> None:
        """See to it that someone whose login could not wait is looked after as soon as possible.

        Separate from `log_in`, so that the login has its answer before the journal is written.
        """
        address = self.rules.users.login(login.name, login.realm)
        user = self.rules.users.login_id(address)
        try:
            self._provisioner.come_back(address, user, login.service, "no answer in time")
        except Temporary as error:
            log.error("%s: not noted for another attempt: %s", user, error)

    def forget(self, user: str) -> None:
        """Believe no longer that a user's mailbox exists."""
        self._ready.discard(user)
        if self._delivery:
            self._delivery.forget(user)

    def forget_accounts(self, user: str | None = None) -> None:
        """Ask all tables again, and account sources and Cyrus about a user or everyone."""
        user = None if user is None else self.rules.users.of_account(user)
        if self._domains:
            self._domains.forget()
        if self._aliases:
            self._aliases.forget()
        self._provisioner.forget(user)
        if self._delivery:
            self._delivery.forget(user)
        if user is None:
            self._ready.clear()
        else:
            self._ready.discard(user)
        self._decisions.forget()

    def figures(self) -> dict[str, Any]:
        """What is remembered, what the account sources cost, how Cyrus is used, as JSON has it."""
        return {
            "ready": self._ready.snapshot(),
            "domains": self._domains.snapshot() if self._domains else None,
            "aliases": self._aliases.snapshot() if self._aliases else None,
            "lmtp": self._delivery.snapshot() if self._delivery else None,
            **self._provisioner.figures(),
        }

    def save(self, statistics: Statistics) -> None:
        """Write what was counted to the journal.

        Raises:
            Temporary: the journal cannot be written; what was counted is kept.
        """
        statistics.save(self._journal.tally)

    def has_domain(self, domain: str) -> bool:
        """Is a domain ours, or may any be?

        Raises:
            Temporary: a table of domains cannot tell.
        """
        rules = self.rules
        return find_domain(domain, True, rules.domains, self._domains, rules.deadline).is_hosted

    def preview(self, recipient: Recipient) -> Verdict:
        """What `verify` would decide, with the plan it would carry out. Changes nothing."""
        return self._judge(recipient, time.monotonic() + self.rules.deadline, apply=False)

    def provision(self, address: Address, apply: bool = True, is_user: bool = False) -> Verdict:
        """Make sure that the mailboxes behind an address stand, whatever its domain. Else as `verify`.

        Args:
            apply: False only plans.
            is_user: the address is that of a user, whose aliases do not count.
        """
        until = time.monotonic() + self.rules.deadline
        apply = apply and not self.rules.dry_run
        decide = self._decided_for_user if is_user else self._decided_for
        verdict = decide(address, until, apply)
        return replace(verdict, withheld="dry run") if self.rules.dry_run else verdict

    def scripts(self) -> tuple[tuple[str, Script], ...]:
        """The Sieve scripts that policies give, each with the policy's name."""
        return self._provisioner.scripts()

    def check_script(self, script: Script) -> tuple[str, ...]:
        """Does a script compile? Returns what besides an administrator should know about it.

        Raises:
            Refused: it does not. Every error is told with its line.
            Temporary: that cannot be told now.
        """
        return self._provisioner.check_script(script)

    def unfinished(self, everything: bool) -> list[Entry]:
        """The trees that are due for another attempt, or all that were begun and not finished.

        In dry run there are none: to finish one would be to create.

        Raises:
            Temporary: the journal cannot be read.
        """
        return [] if self.rules.dry_run else self._provisioner.due(everything)

    def complete(self, entry: Entry) -> Verdict:
        """Try again to finish a tree that was begun. Never raises, as `verify`."""
        local, _, domain = entry.address.rpartition("@")
        address = Address(local, domain) if local else Address(domain)
        until = time.monotonic() + self.rules.deadline
        question = Question(address, entry.user, True, entry.service, entry)
        verdict = self._decisions.decide(question, until)
        if verdict.answer is Answer.TEMPORARY:
            self._provisioner.put_off(entry, verdict)
        return verdict

    def close(self) -> None:
        """Take no new work and let go of every connection."""
        if self._domains:
            self._domains.close()
        if self._aliases:
            self._aliases.close()
        if self._delivery:
            self._delivery.close()
        self.flights.close()
        self._release()

    def _judge(self, recipient: Recipient, until: float, apply: bool) -> Verdict:
        """Is this recipient ours, and is it an address? If so, decide about its user."""
        rules = self.rules
        mailer = recipient.mailer
        is_ours = mailer is None or mailer in rules.mailers
        if not is_ours and self._aliases is None:
            return Verdict(Answer.PASS, f"mailer {mailer!r} is not ours")
        written = as_the_mta_sees_it(recipient)
        domain = domain_of(written)
        try:
            is_hosted, asked = find_domain(
                domain, is_ours, rules.domains, self._domains, until - time.monotonic()
            )
        except Exception as error:
            return _without_answer(error, written, "domains")
        if not is_hosted:
            why = f"domain {domain!r}" if domain and is_ours else f"mailer {mailer!r}"
            return Verdict(Answer.PASS, f"{why} is not ours", asked=asked)
        verdict = self._judged(recipient, written, is_ours, until, apply)
        return replace(verdict, asked=(*asked, *verdict.asked)) if asked else verdict

    def _judged(
        self, recipient: Recipient, written: str, is_ours: bool, until: float, apply: bool
    ) -> Verdict:
        """Decide about a recipient in a domain of ours; `is_ours` says that its mailer is, too."""
        try:
            address = parse(written)
        except Malformed as error:
            return Verdict(Answer.MALFORMED if is_ours else Answer.PASS, str(error))
        # Postfix names the mailer of the address as it stands, which its aliases never meet.
        verdict = self._decided_for(
            address, until, apply, is_mapped_by(recipient), not is_ours, recipient
        )
        if verdict.answer is Answer.UNKNOWN and is_postmaster(address):
            return replace(verdict, answer=Answer.PASS, reason="postmaster is never refused")
        return verdict

    def _decided_for(
        self,
        address: Address,
        until: float,
        apply: bool,
        is_mapped: bool = False,
        is_alias_at_most: bool = False,
        recipient: Recipient | None = None,
    ) -> Verdict:
        """The decision about a recipient's address of ours: about the users whom it leads to.

        Args:
            is_mapped: the MTA has made a local name of it already.
            is_alias_at_most: what is no alias is not ours.
            recipient: what the MTA said, if there is mail that Cyrus may refuse.
        """
        delivered = self._delivered(address, is_mapped)
        if self._aliases is None:
            return self._begun_for(delivered, until, apply, recipient, delivered)()
        try:
            resolution = self._aliases.resolve(address, is_mapped, until - time.monotonic())
        except Exception as error:
            return _without_answer(error, address, "aliases")
        if is_alias_at_most and not resolution.steps:
            return Verdict(Answer.PASS, "no alias, and its mailer is not ours")
        users = self.rules.users
        # A bare name in a table is a user here; policies go by the domain that the mail was for.
        targets = [
            delivered
            if it == address
            else replace(it, domain=it.domain or ("" if users.virtual_domains else address.domain))
            for it in resolution.users
        ]
        # One target a user; each shared folder. All are begun before the first is waited for.
        distinct = {users.user_id(it) or str(it): it for it in reversed(targets)}
        waits = [
            self._begun_for(target, until, apply, recipient, delivered)
            for target in distinct.values()
        ]
        parts = [wait() for wait in reversed(waits)]
        parts += [Verdict(Answer.UNKNOWN, ALIAS_DOMAIN, it) for it in resolution.unknown]
        verdict = combined(resolution, parts)
        if verdict.answer is Answer.UNKNOWN and resolution.remembered:
            # Who is gone may have become an alias since, or the alias lead to another.
            self._aliases.forget(address, is_mapped)
            return self._decided_for(address, until, apply, is_mapped, is_alias_at_most, recipient)
        if verdict.answer in (Answer.ACCEPT, Answer.REFUSED):
            self._aliases.remember(address, is_mapped, resolution)
        return verdict

    def _delivered(self, address: Address, is_mapped: bool) -> Address:
        """The address that Cyrus will hear. Sendmail's local mailers tell it the local part alone."""
        if is_mapped and self.rules.users.virtual_domains:
            return replace(address, domain="")
        return address

    def _decided_for_user(self, address: Address, until: float, apply: bool) -> Verdict:
        return self._begun_for(address, until, apply)()

    def _begun_for(
        self,
        target: Address,
        until: float,
        apply: bool,
        recipient: Recipient | None = None,
        own: Address | None = None,
    ) -> Callable[[], Verdict]:
        """The decision about the user that mail for `target` would be delivered to, begun.

        Args:
            recipient: what the MTA said, if Cyrus is to be asked whether it takes the mail.
            own: the recipient's own address; another target is one of its aliases'.
        """
        user = self.rules.users.user_id(target)
        if user and (why := self._why_no_user(target, recipient)):
            return lambda: Verdict(Answer.UNKNOWN, why)
        question = Question(target, user, apply)
        if user:
            begun = self._decisions.begin(question, until)
        else:
            shared = "names no user but a shared folder, which is Cyrus's to judge"
            begun = lambda: Verdict(Answer.PASS, shared, address=target)  # noqa: E731
        if (delivery := self._delivery) is None or recipient is None:
            return begun
        lowers = self.rules.lowers_domains
        written = as_delivered(recipient, target, lowers) if target == own else str(target)
        envelope = recipient.envelope
        again = partial(self._looked_at_again, question, until)
        return lambda: delivery.confirm(begun(), written, envelope, until, again)

    def _why_no_user(self, target: Address, recipient: Recipient | None) -> str:
        """Why no user of Cyrus's can get mail for a target as the MTA delivers it, or ""."""
        # Sendmail's local mailers put nothing in quotes.
        quotes_dots = self.rules.quotes_dots and not (recipient and is_mapped_by(recipient))
        if not is_taken_by_cyrus(target.local, quotes_dots):
            why = "Cyrus takes no mail for a local part that is delivered in quotes"
            if is_taken_by_cyrus(target.local, quotes_dots=False):
                why += ", as it is by milter.lmtp_quote_rfc821_envelope"
            return why
        if target.written and self.rules.users.virtual_domains:
            # The MTA passes the domain on as it was written, and no user of Cyrus's is in such a one.
            return f"Cyrus has no user in a domain that is written {target.written!r}"
        return ""

    def _looked_at_again(self, question: Question, until: float) -> Verdict:
        """The decision about a user of whom nothing that was remembered counts any longer."""
        self._provisioner.forget(question.user)
        self._ready.discard(question.user)
        return self._decisions.decide(question, until)

    def _record(self, recipient: Recipient, verdict: Verdict, until: float) -> None:
        if verdict.answer is Answer.PASS and not verdict.user:
            return  # somebody else's mail
        try:
            self.flights.join(
                ("record", recipient.argument),
                lambda: self._recorded(recipient, verdict),
                max(0.1, until - time.monotonic()),
            )
        except AutocreateError as error:
            log.error("dry run: not recorded: %s", error)
        except Exception:
            log.exception("dry run: not recorded: a defect of this program")

    def _recorded(self, recipient: Recipient, verdict: Verdict) -> Verdict:
        self._journal.record(recipient, verdict)
        return verdict


def _without_answer(error: Exception, address: object, tables: str) -> Verdict:
    """The verdict where tables could not be asked; a defect of this program is logged."""
    if isinstance(error, AutocreateError):
        return Verdict(Answer.TEMPORARY, str(error))
    log.error("%s: a defect of this program, in its %s", address, tables, exc_info=error)
    return Verdict(Answer.TEMPORARY, f"internal error: {error!r}")
