"""Recipients, accounts and answers as frozen values. No behaviour beyond what a value knows of itself."""

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from autocreate.tree.base import Action
from autocreate.tree.plan import ApplyResult, Plan

# The service that mail arrives by, as Cyrus names it; logins come by "imap", "pop3", "sieve".
LMTP = "lmtp"

Version = tuple[int, int]
"""A release of Cyrus: (3, 10)."""


@dataclass(frozen=True, slots=True)
class Address:
    """A mail address, decoded: no quotes, no brackets, the domain in A-labels and lower case.

    Args:
        domain: empty for a bare local part such as `<postmaster>`.
        written: the domain in lower case as it was written, if that is not ASCII.
    """

    local: str
    domain: str = ""
    written: str = ""

    @property
    def mta_domain(self) -> str:
        """The domain as the MTA looks it up and passes it on: neither makes A-labels of it."""
        return self.written or self.domain

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}" if self.domain else self.local


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the client said at MAIL.

    Args:
        sender: the address as the client wrote it.
        size: of the message in bytes (SIZE, RFC 1870); 0 if the client did not say.
        smtputf8: it asked for SMTPUTF8 (RFC 6531).
    """

    sender: str = ""
    size: int = 0
    smtputf8: bool = False


@dataclass(frozen=True, slots=True)
class Recipient:
    """A recipient as a front end was told of it.

    Args:
        argument: the RCPT argument as the client wrote it, or an address from the command line.
        rewritten: what the MTA made of it (`{rcpt_addr}`), if it said.
        mailer: the transport that will deliver it (`{rcpt_mailer}`), if the MTA said.
        refusable: False for mail that is already in the MTA's queue: a refusal would only make it bounce.
        envelope: what was said before.
        is_refused: the MTA has refused it as unknown. Only dry run asks to be told of those.
    """

    argument: str
    rewritten: str | None = None
    mailer: str | None = None
    refusable: bool = True
    envelope: Envelope = Envelope()
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class Login:
    """Someone whose password was right. The password itself is never part of a value.

    Args:
        name: the login name, with its domain behind an `@` if `realm` does not say it.
        service: what it was right for, in the words of imapd.conf(5): "imap", "pop3", "sieve".
        realm: the domain, where it came apart from the name.
    """

    name: str
    service: str
    realm: str = ""

    @property
    def address(self) -> str:
        """The name with its domain, if it has one."""
        return f"{self.name}@{self.realm}" if self.realm else self.name


@dataclass(frozen=True, slots=True)
class Account:
    """A user who exists, and the name of the account source that says so.

    `attributes` is what its entry says besides, as (name in lower case, value) pairs: an LDAP entry
    may have several values of one name. `name` is how the source spells the user id, where that is
    another way (`KLee` for `klee`). Neither is a part of who the account is.
    """

    user: str
    source: str
    attributes: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    name: str = field(default="", compare=False)

    @property
    def spellings(self) -> tuple[str, ...]:
        """The user id, and how the source spells it where that is another way."""
        return (self.user, self.name) if self.name else (self.user,)

    def values(self, attribute: str) -> tuple[str, ...]:
        """What the entry has under this name, whatever its case."""
        wanted = attribute.lower()
        return tuple(value for name, value in self.attributes if name == wanted)


class Lookup(NamedTuple):
    """An account source or a table of aliases was asked.

    Args:
        milliseconds: how long it took; None where a cache knew.
        failed: it could not tell.
    """

    source: str
    milliseconds: float | None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where an address leads once its aliases are followed.

    Args:
        users: addresses of ours that have no alias: the address itself, if it is none.
        others: what needs no mailbox of ours: addresses elsewhere, commands, files.
        unknown: addresses that the MTA refuses, in domains that have nothing but aliases.
        steps: the aliases on the way, a line each; none if the address is no alias.
        uncertainties: why an alias that was not found, or not in its most exact form, might exist all the same.
        asked: the tables that were asked for it.
        remembered: none was: it led there a while ago.
    """

    users: tuple[Address, ...] = ()
    others: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    uncertainties: tuple[str, ...] = ()
    asked: tuple[Lookup, ...] = ()
    remembered: bool = False


class Reply(NamedTuple):
    """An SMTP reply: code, enhanced code (RFC 3463), text. The text discloses nothing of ours."""

    code: str
    enhanced: str
    text: str


class Answer(Enum):
    """What a verdict says about a recipient.

    Args:
        word: how it is written in logs and journals: its value.
        reply: what the sender is told, or None where the recipient goes through. That of `REFUSED` is
            Cyrus's own: `Verdict.refusal`.
    """

    PASS = "pass"  # not ours: the MTA continues as if there were no milter
    ACCEPT = "accept"  # the account exists and its mailbox exists
    UNKNOWN = "unknown", Reply("550", "5.1.1", "User unknown")  # every source said no
    REFUSED = "refused"  # the account exists, and Cyrus will not take the message
    MALFORMED = "malformed", Reply("553", "5.1.3", "Bad recipient address syntax")
    TEMPORARY = "temporary", Reply("451", "4.3.0", "Temporary failure, please try again later")

    # Plain attributes, and a hash in C: both are used several times for each recipient.
    word: str
    reply: Reply | None

    def __new__(cls, word: str, reply: Reply | None = None) -> "Answer":
        answer = object.__new__(cls)
        answer._value_ = answer.word = word
        answer.reply = reply
        return answer

    __hash__ = object.__hash__

    @property
    def exit_status(self) -> int:
        """The exit status of a command that ends with this answer (sysexits(3))."""
        return {Answer.UNKNOWN: 65, Answer.MALFORMED: 65, Answer.TEMPORARY: 75}.get(self, 0)


# Why an answer is not given to the sender.
DRY_RUN = "dry run"
DRY_RUN_REFUSED = "dry run; the MTA refused it"  # as unknown, before it asked the milter
NOT_BY_SMTP = "not by SMTP"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision about one recipient, and what led to it, for the administrator.

    Args:
        answer: what was decided.
        reason: why, in words; for the log and the command line, never for the sender.
        plan: what is to be done; only shown where nothing is applied.
        report: the result of the plan, if it was applied.
        created: a mailbox was created for this recipient.
        suppressed: why the answer is not given to the sender, such as DRY_RUN; empty if it is.
        refusal: the reply to a recipient that Cyrus refuses.
        aliases: the aliases that were followed, a line each.
        parts: the verdict about each user, if the aliases led to several.
        asked: the account sources and tables of aliases that were asked for it.
        address: where Cyrus delivers, after aliases; its domain may choose the policy.
        limited: it is temporary because of `[limits]`, which is logged once for many.
        foreign: it passes because its domain, or its mailer, is not ours; nobody was asked about it.
    """

    answer: Answer
    reason: str
    user: str = ""
    source: str = ""
    policy: str = ""
    plan: Plan | None = None
    report: ApplyResult | None = None
    created: bool = False
    suppressed: str = ""
    notes: tuple[str, ...] = field(default=())
    refusal: Reply | None = None
    aliases: tuple[str, ...] = ()
    parts: tuple["Verdict", ...] = ()
    asked: tuple[Lookup, ...] = ()
    address: Address | None = None
    limited: bool = False
    foreign: bool = False

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The plans of this verdict and of its parts."""
        own = (self.plan,) if self.plan else ()
        return own + tuple(plan for part in self.parts for plan in part.plans)

    @property
    def done(self) -> tuple[Action, ...]:
        """What was done of the plan, or would be."""
        planned = self.plan.actions if self.plan else ()
        return self.report.done if self.report else planned

    @property
    def exit_status(self) -> int:
        """Of a command that this came out of (sysexits(3)): that of the answer or of a plan."""
        reports = [it.report for it in (self, *self.parts) if it.report]
        # EX_UNAVAILABLE and EX_TEMPFAIL, as the refusal is for good or not
        refused = (69 if self.refusal.code.startswith("5") else 75) if self.refusal else 0
        return max([self.answer.exit_status, refused, *(report.exit_status for report in reports)])

    @property
    def reply(self) -> Reply | None:
        """What to tell the sender, or None to let the recipient through."""
        return None if self.suppressed else self.refusal or self.answer.reply
