"""Decisions about users, each made once for all who wait for it, and waited for no longer than each may.

Whoever asks about a user while the answer is being worked on gets that answer; who leaves at a timeout
leaves the work to go on. Nothing is raised here: what cannot be told, and every defect, is a temporary
verdict.

A recipient that memory says is unknown needs no other thread (docs/decisions/0063).
"""

import logging
import time
from dataclasses import replace
from functools import lru_cache, partial
from typing import NamedTuple, Protocol

from autocreate.errors import (
    AutocreateError,
    CreationLimited,
    DeadlinePassed,
    NotInMemory,
    Temporary,
)
from autocreate.model import LMTP, Address, Answer, Verdict
from autocreate.resilience.single_flight import Handle, SingleFlight
from autocreate.service.mailbox_cache import MailboxCache
from autocreate.service.provisioner import UNKNOWN_USER, Provisioner
from autocreate.service.work import DecisionRequest
from autocreate.statistics.lookups import LookupTrace, trace_lookups

log = logging.getLogger(__name__)

# Why somebody is accepted of whom nobody was asked.
MAILBOX_KNOWN = "mailbox known to exist"


class Decision(Protocol):
    """A decision about a user that has been started."""

    def result(self, timeout: float) -> Verdict:
        """The verdict, waited for. Never raises, and may be asked for again.

        Args:
            timeout: seconds.
        """


class Decided(NamedTuple):
    """A decision that needs no waiting."""

    verdict: Verdict

    def result(self, _timeout: float) -> Verdict:
        return self.verdict


class Decisions:
    """Asks the provisioner, one request at a time per user.

    Args:
        provisioner: decides.
        single_flight: runs the work. A service that takes over shares what is in progress.
        mailboxes: remembers which mailboxes exist; for their users nothing is asked at all.
    """

    def __init__(
        self,
        provisioner: Provisioner,
        single_flight: SingleFlight[Verdict],
        mailboxes: MailboxCache,
    ) -> None:
        self._provisioner = provisioner
        self._single_flight = single_flight
        self._mailboxes = mailboxes
        # An object, for a number would recur in the service that takes over.
        self._generation = object()

    def knows(self, user: str) -> bool:
        """Is a user's mailbox known to exist?"""
        return user in self._mailboxes

    def recall(self, user: str) -> Verdict | None:
        """The verdict about a user whose mailbox is known to exist; None about any other."""
        return _known(user) if user in self._mailboxes else None

    def invalidate(self) -> None:
        """Answer nobody who asks from now on with a no that is being worked on already."""
        self._generation = object()

    def find_mailbox(self, user: str, until: float) -> Verdict:
        """`ACCEPT` if a user's mailbox exists, `UNKNOWN` if not, by `until` on the monotonic clock."""
        if known := self.recall(user):
            return known
        request = DecisionRequest(Address(user), user, apply=False)
        try:
            return self._single_flight.join(
                ("mailbox", user),
                partial(self._provisioner.find_mailbox, user),
                until - time.monotonic(),
            )
        except AutocreateError as error:
            return _temporary(request, str(error))
        except Exception as error:
            log.exception("%s: a defect of this program", user)
            return _temporary(request, f"internal error: {error!r}")

    def decide(self, request: DecisionRequest, until: float) -> Verdict:
        """The verdict, by `until` on the monotonic clock."""
        return self.start(request).result(until - time.monotonic())

    def start(self, request: DecisionRequest) -> Decision:
        """`decide` in two steps, to ask about several users at once."""
        if request.entry is None and (known := self.recall(request.user)):
            return Decided(known)
        trace = LookupTrace()
        is_mail = request.service == LMTP and request.entry is None
        # Whoever makes this user's mailbox at the moment knows more than the account sources.
        if is_mail and request.key not in self._single_flight:
            try:
                with trace_lookups(trace):
                    recalled = _recalled(self._provisioner, request, trace)
            except NotInMemory:
                trace = LookupTrace()
            else:
                if isinstance(recalled, Verdict):
                    return Decided(recalled)
                request = recalled
        context = _Context(self._generation, request.service, request.entry is None)
        try:
            return _Pending(self._provisioner, self._single_flight, request, context, trace)
        except Temporary as error:
            return Decided(_temporary(request, str(error)))


class _Context(NamedTuple):
    """What a no depends on besides the user: what was asked, and of whom.

    The no to a login, or of sources that have been changed since, would be a false 550; and that to
    mail, or to a login of long ago, would leave someone who has logged in without a mailbox.
    """

    generation: object
    service: str
    is_first_attempt: bool


class _Pending:
    """A decision in progress: our own work, or another's on the same user.

    Raises:
        Temporary: no new work is taken any more.
    """

    def __init__(
        self,
        provisioner: Provisioner,
        single_flight: SingleFlight[Verdict],
        request: DecisionRequest,
        context: _Context,
        trace: LookupTrace,
    ) -> None:
        self._single_flight = single_flight
        self._request = request
        self._context = context
        self._trace = trace
        self._work = partial(_decide, provisioner, request, trace)
        self._handle = self._start()

    def result(self, timeout: float) -> Verdict:
        request = self._request
        try:
            return self._result(timeout)
        except DeadlinePassed as error:
            awaited = f"accounts.{self._trace.awaited}: " if self._trace.awaited else ""
            return _temporary(request, f"{awaited}{error}")
        except AutocreateError as error:
            return _temporary(request, str(error))
        except Exception as error:
            log.exception("%s: a defect of this program", request.user)
            return _temporary(request, f"internal error: {error!r}")

    def _result(self, timeout: float) -> Verdict:
        until = time.monotonic() + timeout
        verdict = self._handle.result(timeout)
        while verdict.answer is Answer.UNKNOWN and self._handle.context != self._context:
            self._handle = self._start()
            verdict = self._handle.result(until - time.monotonic())
        if verdict.created and not self._handle.is_first:
            # One mailbox is created once, whoever waited for it.
            reason = f"{verdict.reason} by a concurrent request"
            return replace(verdict, created=False, reason=reason)
        return verdict

    def _start(self) -> Handle[Verdict]:
        return self._single_flight.start(self._request.key, self._work, self._context)


def _recalled(
    provisioner: Provisioner, request: DecisionRequest, trace: LookupTrace
) -> Verdict | DecisionRequest:
    """The verdict if there is no account, or a lookup failed; else the request, with its account.

    Raises:
        NotInMemory: the account sources must be asked.
    """
    try:
        account = provisioner.recall(request.user)
    except NotInMemory:
        raise
    except AutocreateError as error:
        answer, reason = Answer.TEMPORARY, str(error)
    except Exception as error:
        log.exception("%s: a defect of this program", request.user)
        answer, reason = Answer.TEMPORARY, f"internal error: {error!r}"
    else:
        if account is not None:
            return request._replace(account=account)
        answer, reason = Answer.UNKNOWN, UNKNOWN_USER
    return Verdict(answer, reason, request.user, asked=tuple(trace), address=request.address)


def _decide(provisioner: Provisioner, request: DecisionRequest, trace: LookupTrace) -> Verdict:
    with trace_lookups(trace):
        try:
            verdict = provisioner.decide(request)
        except AutocreateError as error:
            # Here, while it is known who was asked.
            limited = isinstance(error, CreationLimited)
            verdict = Verdict(Answer.TEMPORARY, str(error), request.user, limited=limited)
    return replace(verdict, asked=tuple(trace), address=request.address)


# A verdict takes as long to make as all the rest of recalling it.
@lru_cache(4096)
def _known(user: str) -> Verdict:
    return Verdict(Answer.ACCEPT, MAILBOX_KNOWN, user)


def _temporary(request: DecisionRequest, reason: str) -> Verdict:
    return Verdict(Answer.TEMPORARY, reason, request.user, address=request.address)
