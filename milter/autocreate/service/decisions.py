"""Decisions about users, each made once for all who wait for it, and waited for no longer than each may.

Whoever asks about a user while the answer is being worked on gets that answer; who leaves at a deadline
leaves the work to go on. Nothing is raised here: every doubt, and every defect, is a temporary verdict.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from autocreate.errors import AutocreateError, DeadlinePassed, Temporary
from autocreate.model import Answer, Verdict
from autocreate.resilience.single_flight import SingleFlight
from autocreate.service.mailbox_cache import MailboxCache
from autocreate.service.provisioner import DecisionRequest, Provisioner
from autocreate.statistics.lookups import LookupTrace, trace_lookups

log = logging.getLogger(__name__)


class Decisions:
    """Asks the provisioner, one question at a time per user.

    Args:
        provisioner: decides.
        flights: runs the work.
        ready: remembers whose mailbox stands; for them nothing is asked at all.
    """

    def __init__(
        self, provisioner: Provisioner, flights: SingleFlight[Verdict], ready: MailboxCache
    ) -> None:
        self._provisioner = provisioner
        self._flights = flights
        self._ready = ready
        self._era = object()

    def invalidate(self) -> None:
        """Answer nobody who asks from now on by a no that is being worked on already."""
        self._era = object()

    def decide(self, question: DecisionRequest, until: float) -> Verdict:
        """The verdict, by `until` on the monotonic clock."""
        return self.begin(question, until)()

    def begin(self, question: DecisionRequest, until: float) -> Callable[[], Verdict]:
        """`decide` in two steps, to ask about several users at once.

        What is returned waits for the verdict, and must be called once.
        """
        user = question.user
        if question.entry is None and user in self._ready:
            return lambda: Verdict(Answer.ACCEPT, "known to stand", user)
        basis = (self._era, question.service, question.entry is None)
        work = _Work(self._provisioner, question, basis)
        try:
            wait = self._flights.board(question.key, work)
        except Temporary as error:
            refusal = _doubt(question, str(error))
            return lambda: refusal
        return lambda: self._landed(work, wait, until)

    def _landed(self, work: "_Work", wait: Callable[[float], Verdict], until: float) -> Verdict:
        question = work.question
        try:
            verdict = wait(until - time.monotonic())
            # A no hangs on what was asked, and of whom: that of a login, or of sources that have been
            # changed since, would be a false 550; and that of mail, or of a login of long ago, would
            # leave someone who has logged in without a mailbox.
            while verdict.basis != work.basis and verdict.answer is Answer.UNKNOWN:
                verdict = self._flights.join(question.key, work, until - time.monotonic())
            return verdict if work.was_done else _of_another(verdict)
        except DeadlinePassed as error:
            awaited = f"accounts.{work.notes.awaited}: " if work.notes.awaited else ""
            return _doubt(question, f"{awaited}{error}")
        except AutocreateError as error:
            return _doubt(question, str(error))
        except Exception as error:
            log.exception("%s: a defect of this program", question.user)
            return _doubt(question, f"internal error: {error!r}")


class _Work:
    """The work on a question, which another's work may make needless.

    Args:
        basis: a no is for questions with the same one.
    """

    def __init__(self, provisioner: Provisioner, question: DecisionRequest, basis: object) -> None:
        self._provisioner = provisioner
        self.question = question
        self.basis = basis
        self.was_done = False
        self.notes = LookupTrace()

    def __call__(self) -> Verdict:
        self.was_done = True
        question = self.question
        self.notes = LookupTrace()
        with trace_lookups(self.notes) as asked:
            try:
                verdict = self._provisioner.decide(question)
                if question.entry is not None:
                    # Here, and not by who waits: that may be for a recipient's verdict, which says
                    # nothing about the entry.
                    self._provisioner.conclude(question.entry, verdict)
            except AutocreateError as error:
                # Here, while it is known who was asked.
                verdict = Verdict(Answer.TEMPORARY, str(error), question.user)
        return replace(verdict, basis=self.basis, asked=tuple(asked), address=question.address)


def _doubt(question: DecisionRequest, reason: str) -> Verdict:
    return Verdict(Answer.TEMPORARY, reason, question.user, address=question.address)


def _of_another(verdict: Verdict) -> Verdict:
    """The verdict for those who waited for somebody else's work: one mailbox is created once."""
    if not verdict.created:
        return verdict
    return replace(verdict, created=False, reason=f"{verdict.reason} for another at the same time")
