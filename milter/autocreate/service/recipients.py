"""Recipients: is one ours, whom does it stand for, and what is decided about each of these users.

Asks, in this order: the domain, the aliases, the decision about each user, and lmtpd.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from autocreate.aliases.combine import combined
from autocreate.aliases.resolver import Aliases
from autocreate.core.address import domain_of, is_postmaster, is_taken_by_cyrus, parse
from autocreate.core.naming import Users
from autocreate.core.recipient import as_delivered, as_the_mta_sees_it, is_mapped_by
from autocreate.domains.hosted import DomainTables, find_domain
from autocreate.errors import AutocreateError, Malformed
from autocreate.lmtp.delivery_check import DeliveryCheck
from autocreate.model import Address, Answer, Recipient, Verdict
from autocreate.service.decisions import Decisions
from autocreate.service.provisioner import DecisionRequest

log = logging.getLogger(__name__)

# Why an address does not exist that Postfix refuses.
ALIAS_DOMAIN = "has no alias, and its domain has nothing else"


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
        dry_run: decide everything, do nothing, withhold every answer.
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


class Recipients:
    """Decides about recipients. Safe to call from several threads at once; never raises.

    Args:
        invalidate: believes nothing any longer that was remembered about a user's account and mailbox.
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
        verdict = self.decide_for(
            address, until, apply, is_mapped_by(recipient), not is_ours, recipient
        )
        if verdict.answer is Answer.UNKNOWN and is_postmaster(address):
            return replace(verdict, answer=Answer.PASS, reason="postmaster is never refused")
        return verdict

    def decide_for(
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
        users = self._rules.users
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
            self._aliases.invalidate(address, is_mapped)
            return self.decide_for(address, until, apply, is_mapped, is_alias_at_most, recipient)
        if verdict.answer in (Answer.ACCEPT, Answer.REFUSED):
            self._aliases.remember(address, is_mapped, resolution)
        return verdict

    def _delivered(self, address: Address, is_mapped: bool) -> Address:
        """The address that Cyrus will hear. Sendmail's local mailers tell it the local part alone."""
        if is_mapped and self._rules.users.virtual_domains:
            return replace(address, domain="")
        return address

    def decide_for_user(self, address: Address, until: float, apply: bool) -> Verdict:
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
        user = self._rules.users.user_id(target)
        if user and (why := self._why_no_user(target, recipient)):
            return lambda: Verdict(Answer.UNKNOWN, why)
        question = DecisionRequest(target, user, apply)
        if user:
            begun = self._decisions.begin(question, until)
        else:
            shared = "names no user but a shared folder, which is Cyrus's to judge"
            begun = lambda: Verdict(Answer.PASS, shared, address=target)  # noqa: E731
        if (delivery := self._delivery) is None or recipient is None:
            return begun
        lowers = self._rules.lowers_domains
        written = as_delivered(recipient, target, lowers) if target == own else str(target)
        envelope = recipient.envelope
        again = partial(self._looked_at_again, question, until)
        return lambda: delivery.confirm(begun(), written, envelope, until, again)

    def _why_no_user(self, target: Address, recipient: Recipient | None) -> str:
        """Why no user of Cyrus's can get mail for a target as the MTA delivers it, or ""."""
        # Sendmail's local mailers put nothing in quotes.
        quotes_dots = self._rules.quotes_dots and not (recipient and is_mapped_by(recipient))
        if not is_taken_by_cyrus(target.local, quotes_dots):
            why = "Cyrus takes no mail for a local part that is delivered in quotes"
            if is_taken_by_cyrus(target.local, quotes_dots=False):
                why += ", as it is by milter.lmtp_quote_rfc821_envelope"
            return why
        if target.written and self._rules.users.virtual_domains:
            # The MTA passes the domain on as it was written, and no user of Cyrus's is in such a one.
            return f"Cyrus has no user in a domain that is written {target.written!r}"
        return ""

    def _looked_at_again(self, question: DecisionRequest, until: float) -> Verdict:
        """The decision about a user of whom nothing that was remembered counts any longer."""
        self._invalidate(question.user)
        return self._decisions.decide(question, until)


def _without_answer(error: Exception, address: object, tables: str) -> Verdict:
    """The verdict where tables could not be asked; a defect of this program is logged."""
    if isinstance(error, AutocreateError):
        return Verdict(Answer.TEMPORARY, str(error))
    log.error("%s: a defect of this program, in its %s", address, tables, exc_info=error)
    return Verdict(Answer.TEMPORARY, f"internal error: {error!r}")
