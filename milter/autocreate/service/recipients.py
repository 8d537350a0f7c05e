"""Recipients: is one ours, which users does it lead to, and what is decided about each of them.

`judge` is RCPT, and reads from top to bottom: the domain, the aliases, the decision about each user, and
lmtpd. Each way out is one verdict.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from autocreate.aliases.combine import combined
from autocreate.aliases.resolver import Aliases
from autocreate.core.address import domain_of, is_postmaster, is_taken_by_cyrus, parse
from autocreate.core.naming import Users
from autocreate.core.recipient import as_delivered, as_the_mta_sees_it, is_mapped_by
from autocreate.domains.hosted import DomainTables, find_domain
from autocreate.errors import AutocreateError, Malformed
from autocreate.lmtp.delivery_check import DeliveryCheck
from autocreate.model import Address, Answer, Recipient, Resolution, Verdict
from autocreate.service.decisions import MAILBOX_KNOWN, Decided, Decision, Decisions
from autocreate.service.work import DecisionRequest

log = logging.getLogger(__name__)

# Half a kilobyte each.
_MOST_RECALLABLE = 10_000

# Why an address does not exist that Postfix refuses.
ALIAS_DOMAIN = "has no alias, and its domain has only aliases"
SHARED_FOLDER = "names a shared folder and no user; Cyrus decides"


@dataclass(frozen=True, slots=True)
class RecipientRules:
    """What an administrator decided about recipients and logins.

    Args:
        domains: ours, as lower-case A-labels, besides those in tables; `*` for all that come with
            one of our mailers.
        mailers: the transports that deliver to Cyrus.
        users: how addresses become user ids.
        deadline: seconds until the verdict about a recipient, whatever happens.
        login_timeout: seconds that a login waits for its mailbox.
        services: logins to these make mailboxes.
        exempt: users whose logins pass untouched: administrators, proxy servers, ourselves.
        dry_run: decide everything, change nothing, keep every answer back.
        quotes_dots: the MTA delivers local parts such as `a..b` in quotes, if they are no local names
            to it already.
        lowers_domains: the MTA writes our domains in lower case when it delivers.
    """

    domains: frozenset[str]
    mailers: frozenset[str]
    users: Users
    deadline: float = 8.0
    login_timeout: float = 5.0
    services: frozenset[str] = frozenset(("imap", "pop3", "sieve"))
    exempt: frozenset[str] = frozenset()
    dry_run: bool = False
    quotes_dots: bool = True
    lowers_domains: bool = False


class _Question(NamedTuple):
    """What is asked about each user whom an address leads to.

    Args:
        until: the deadline, on the monotonic clock.
        apply: False only plans.
        recipient: what the MTA said, if Cyrus is to be asked whether it takes the mail.
        delivered: the recipient's own address as Cyrus will hear it; any other is an alias's.
    """

    until: float
    apply: bool
    recipient: Recipient | None = None
    delivered: Address | None = None


# All that a verdict depends on but the mailbox and the aliases, if neither tables of domains nor lmtpd are
# asked: a recipient's argument, its rewritten address, and its mailer.
_Spelling = tuple[str, str | None, str | None]


class _Recallable(NamedTuple):
    """An accepted recipient.

    Args:
        verdict: holds while the mailbox of its user is known to exist,
        resolution: and this is what the aliases remember
        address: of this address, which is mapped by the MTA or not.
    """

    verdict: Verdict
    address: tuple[Address, bool]
    resolution: Resolution | None


class Recipients:
    """Decides about recipients. Safe to call from several threads at once; never raises.

    Args:
        invalidate: drops what is remembered about a user's account and mailbox.
        aliases, domains, delivery: see `autocreate.service.service.Service`.
    """

    def __init__(
        self,
        rules: RecipientRules,
        decisions: Decisions,
        invalidate: Callable[[str], None],
        aliases: Aliases | None = None,
        domains: DomainTables | None = None,
        delivery: DeliveryCheck | None = None,
    ) -> None:
        self._rules = rules
        self._decisions = decisions
        self._invalidate = invalidate
        self._aliases = aliases
        self._domains = domains
        self._delivery = delivery
        self._is_recallable = domains is None and delivery is None
        self._recallable: dict[_Spelling, _Recallable] = {}

    def recall(self, argument: str, rewritten: str | None, mailer: str | None) -> Verdict | None:
        """What `judge` would say of a recipient whose mailbox is known to exist; None if it must be asked.

        Most recipients end here, after a look or two into memory.

        Args:
            argument, rewritten, mailer: see `Recipient`.
        """
        known = self._recallable.get((argument, rewritten, mailer))
        if known is None or not self._decisions.knows(known.verdict.user):
            return None
        if self._aliases and self._aliases.recall(*known.address) is not known.resolution:
            return None
        return known.verdict

    def judge(self, recipient: Recipient, until: float, apply: bool) -> Verdict:
        """Is this recipient ours, and is it an address? If so, decide about its users.

        Args:
            until: the deadline, on the monotonic clock.
            apply: False only plans.
        """
        rules = self._rules
        mailer = recipient.mailer
        is_ours = mailer is None or mailer in rules.mailers
        if not is_ours and self._aliases is None:
            return Verdict(Answer.PASS, f"mailer {mailer!r} is not ours", foreign=True)
        written = as_the_mta_sees_it(recipient)
        domain = domain_of(written)
        try:
            is_hosted, asked = find_domain(
                domain, is_ours, rules.domains, self._domains, until - time.monotonic()
            )
        except Exception as error:
            return _cannot_tell(error, written, "domains")
        if not is_hosted:
            what = f"domain {domain!r}" if domain and is_ours else f"mailer {mailer!r}"
            return Verdict(Answer.PASS, f"{what} is not ours", asked=asked, foreign=True)
        try:
            address = parse(written)
        except Malformed as error:
            return Verdict(Answer.MALFORMED if is_ours else Answer.PASS, str(error), asked=asked)
        # Postfix names the mailer of the address before its aliases: another one may be an alias of ours.
        verdict = self.decide(address, until, apply, recipient, aliases_only=not is_ours)
        if verdict.answer is Answer.UNKNOWN and is_postmaster(address):
            verdict = replace(verdict, answer=Answer.PASS, reason="postmaster is never refused")
        return replace(verdict, asked=(*asked, *verdict.asked)) if asked else verdict

    def decide(
        self,
        address: Address,
        until: float,
        apply: bool,
        recipient: Recipient | None = None,
        aliases_only: bool = False,
    ) -> Verdict:
        """Decide about an address of ours: about the user, or the users, whom it leads to.

        Args:
            until, apply: see `judge`.
            recipient: what the MTA said, if there is mail that Cyrus may refuse.
            aliases_only: an address that is no alias is not ours.
        """
        aliases = self._aliases
        is_mapped = recipient is not None and is_mapped_by(recipient)
        delivered = self._delivered(address, is_mapped)
        question = _Question(until, apply, recipient, delivered)
        if aliases is None:
            verdict = self._finish(self._start(delivered, question), delivered, question)
            self._remember(recipient, _Recallable(verdict, (address, is_mapped), None))
            return verdict
        try:
            resolution = aliases.resolve(address, is_mapped, until - time.monotonic())
        except Exception as error:
            return _cannot_tell(error, address, "aliases")
        if aliases_only and not resolution.steps:
            return Verdict(Answer.PASS, "no alias, and its mailer is not ours")
        targets = self._targets(resolution, address, delivered)
        # All are started before the first is waited for.
        started = [self._start(target, question) for target in targets]
        parts = [self._finish(*it, question) for it in zip(started, targets, strict=True)]
        parts += [Verdict(Answer.UNKNOWN, ALIAS_DOMAIN, it) for it in resolution.unknown]
        verdict = combined(resolution, parts)
        if verdict.answer is Answer.UNKNOWN and resolution.remembered:
            # The user may have become an alias since, or the alias may lead to another.
            aliases.invalidate(address, is_mapped)
            return self.decide(address, until, apply, recipient, aliases_only)
        if verdict.answer in (Answer.ACCEPT, Answer.REFUSED):
            aliases.remember(address, is_mapped, resolution)
        if resolution.remembered:
            self._remember(recipient, _Recallable(verdict, (address, is_mapped), resolution))
        return verdict

    def decide_user(self, address: Address, until: float, apply: bool) -> Verdict:
        """Decide about a user's address, whatever aliases it has. Arguments as for `judge`."""
        question = _Question(until, apply)
        return self._finish(self._start(address, question), address, question)

    def _remember(self, recipient: Recipient | None, known: _Recallable) -> None:
        """Let `recall` know a recipient, if all that its verdict depends on can be looked at there."""
        if recipient and self._is_recallable and known.verdict.reason == MAILBOX_KNOWN:
            if len(self._recallable) >= _MOST_RECALLABLE:
                self._recallable.clear()
            spelling = (recipient.argument, recipient.rewritten, recipient.mailer)
            self._recallable[spelling] = known

    def _delivered(self, address: Address, is_mapped: bool) -> Address:
        """The address that Cyrus will hear. Sendmail's local mailers tell it the local part alone."""
        if is_mapped and self._rules.users.virtual_domains:
            return replace(address, domain="")
        return address

    def _targets(
        self, resolution: Resolution, address: Address, delivered: Address
    ) -> Sequence[Address]:
        """The addresses that an address leads to: one for each user, and each shared folder."""
        users = self._rules.users
        # A bare name in a table is a user here; policies go by the domain that the mail was for.
        default = "" if users.virtual_domains else address.domain
        targets: dict[str, Address] = {}
        for it in resolution.users:
            target = delivered if it == address else replace(it, domain=it.domain or default)
            targets.setdefault(users.user_id(target) or str(target), target)
        return tuple(targets.values())

    def _start(self, target: Address, question: _Question) -> Decision:
        """Start the decision about the user that mail for `target` would be delivered to."""
        user = self._rules.users.user_id(target)
        if not user:
            return Decided(Verdict(Answer.PASS, SHARED_FOLDER, address=target))
        if why := self._why_no_user(target, question.recipient):
            return Decided(Verdict(Answer.UNKNOWN, why))
        return self._decisions.start(DecisionRequest(target, user, question.apply))

    def _finish(self, decision: Decision, target: Address, question: _Question) -> Verdict:
        """Wait for the decision about a target. If the mail would be accepted, ask lmtpd."""
        recipient, until = question.recipient, question.until
        verdict = decision.result(until - time.monotonic())
        if self._delivery is None or recipient is None:
            return verdict
        lowers = self._rules.lowers_domains
        is_own = target == question.delivered
        written = as_delivered(recipient, target, lowers) if is_own else str(target)
        look_again = partial(self._look_again, target, question)
        return self._delivery.confirm(verdict, written, recipient.envelope, until, look_again)

    def _why_no_user(self, target: Address, recipient: Recipient | None) -> str:
        """Why no user of Cyrus's can get mail for a target as the MTA delivers it, or ""."""
        # Sendmail's local mailers put nothing in quotes.
        quotes_dots = self._rules.quotes_dots and not (recipient and is_mapped_by(recipient))
        if not is_taken_by_cyrus(target.local, quotes_dots):
            why = "Cyrus rejects a local part in quotes"
            if is_taken_by_cyrus(target.local, quotes_dots=False):
                why += "; the MTA quotes this one because of milter.lmtp_quote_rfc821_envelope"
            return why
        if target.written and self._rules.users.virtual_domains:
            # The MTA passes the domain on as it was written; Cyrus has no users in such a domain.
            return f"Cyrus has no users in a domain that is written {target.written!r}"
        return ""

    def _look_again(self, target: Address, question: _Question) -> Verdict:
        """Decide about a user anew, without what was remembered."""
        user = self._rules.users.user_id(target)
        self._invalidate(user)
        return self._decisions.decide(DecisionRequest(target, user, question.apply), question.until)


def _cannot_tell(error: Exception, address: object, tables: str) -> Verdict:
    """The verdict where tables gave no answer; a defect of this program is logged."""
    if isinstance(error, AutocreateError):
        return Verdict(Answer.TEMPORARY, str(error))
    log.error("%s: a defect of this program, in its %s", address, tables, exc_info=error)
    return Verdict(Answer.TEMPORARY, f"internal error: {error!r}")
