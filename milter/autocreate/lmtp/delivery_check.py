"""The last check of a recipient: what Cyrus's lmtpd will say at delivery, asked before the MTA accepts.

Asked only about recipients whose mailbox is known to exist, and about shared folders. Answers are
remembered for a short time. A server that is down or slow changes nothing: the verdict stays as it is.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from autocreate.errors import AutocreateError
from autocreate.lmtp.replies import Forecast, Outcome
from autocreate.model import Answer, Envelope, Lookup, Verdict
from autocreate.statistics.lookups import LookupStats

log = logging.getLogger(__name__)

NAME = "lmtp"

# How many addresses of one user (`joe+a`, `joe+b`) are remembered.
_MOST_ADDRESSES = 16


class DeliveryServer(Protocol):
    """See `autocreate.lmtp.client.Lmtpd`."""

    @property
    def longest(self) -> float: ...
    def ask(self, recipient: str, envelope: Envelope) -> Forecast: ...
    def snapshot(self) -> dict[str, int]: ...
    def close(self) -> None: ...


class _Mark(NamedTuple):
    """The answer for a size in bytes, and until when it is valid on the monotonic clock."""

    until: float
    size: int
    forecast: Forecast


class _Known(NamedTuple):
    """The answers about an address. What is taken at one size is taken at every smaller one."""

    taken: _Mark | None = None
    not_taken: _Mark | None = None

    def of(self, size: int, now: float) -> Forecast | None:
        taken, not_taken = self.valid(now)
        if taken and size <= taken.size:
            return taken.forecast
        return not_taken.forecast if not_taken and size >= not_taken.size else None

    def valid(self, now: float) -> "_Known":
        """Those still valid."""
        return _Known(*(mark if mark and now < mark.until else None for mark in self))

    def extended(self, mark: _Mark, now: float) -> "_Known":
        """With a new answer, and without those that it contradicts."""
        taken, not_taken = self.valid(now)
        if mark.forecast.outcome is Outcome.TAKEN:
            return _Known(mark, not_taken if not_taken and not_taken.size > mark.size else None)
        return _Known(taken if taken and taken.size < mark.size else None, mark)


class _Checked(NamedTuple):
    """A forecast, and how long it took; `seconds` is None if it was remembered."""

    forecast: Forecast
    seconds: float | None = None
    failed: bool = False


class DeliveryCheck:
    """Asks lmtpd, and remembers.

    Args:
        seconds: how long an answer is remembered; 0: never.
        size: about how many users at most.
        stats: counts the questions.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        server: DeliveryServer,
        seconds: float,
        size: int,
        stats: LookupStats | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._seconds = seconds
        self._size = size
        self._stats = stats or LookupStats()
        self._clock = clock
        self._lock = threading.Lock()
        # To remove the first of a plain dictionary takes ever longer.
        self._known: OrderedDict[str, dict[tuple[str, bool], _Known]] = OrderedDict()
        self._generation = 0
        self._is_down = False

    def confirm(
        self,
        verdict: Verdict,
        recipient: str,
        envelope: Envelope,
        until: float,
        look_again: Callable[[], Verdict],
    ) -> Verdict:
        """A verdict, checked with lmtpd.

        Args:
            verdict: what was decided without lmtpd.
            recipient: the address as the MTA will send it.
            until: the deadline, on the monotonic clock.
            look_again: decides anew, without anything remembered about the user.
        """
        if not _has_mailbox(verdict):
            return verdict
        checked = self._ask(verdict.user, recipient, envelope, until)
        if checked.forecast.outcome is Outcome.UNKNOWN and verdict.user:
            # The mailbox was deleted, or its user is gone, since we looked.
            verdict = look_again()
            if not _has_mailbox(verdict):
                return verdict
            checked = self._ask(verdict.user, recipient, envelope, until)
        return _judged(verdict, checked)

    def invalidate(self, user: str | None = None) -> None:
        """Forget the answers about a user, or about everyone."""
        with self._lock:
            self._generation += 1
            if user is None:
                self._known.clear()
            else:
                self._known.pop(user, None)

    def snapshot(self) -> dict[str, Any]:
        """The cache, the cost of questions, and the connections, as JSON has it."""
        with self._lock:
            now = self._clock()
            users = sum(
                any(any(it.valid(now)) for it in known.values()) for known in self._known.values()
            )
        remembered = {"users": users, "size": self._size, "seconds": self._seconds}
        return {
            **self._stats.snapshot(),
            "remembered": remembered,
            "connections": self._server.snapshot(),
        }

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _ask(self, user: str, recipient: str, envelope: Envelope, until: float) -> _Checked:
        owner, key = user or recipient, (recipient, envelope.smtputf8)
        begun = self._clock()
        known = self._known.get(owner, {}).get(key)
        if known and (forecast := known.of(envelope.size, begun)):
            self._stats.hit()
            return _Checked(forecast)
        generation = self._generation
        if until - begun < self._server.longest:
            return _Checked(Forecast(Outcome.NO_ANSWER, "no time left to ask lmtpd"))
        try:
            forecast = self._server.ask(recipient, envelope)
        except AutocreateError as error:
            forecast = Forecast(Outcome.NO_ANSWER, f"lmtpd was not asked: {error}")
        seconds, failed = self._clock() - begun, forecast.outcome is Outcome.NO_ANSWER
        self._stats.answered(seconds, forecast.why if failed else "")
        self._report(forecast.why if failed else "")
        self._remember(owner, key, envelope.size, forecast, generation)
        return _Checked(forecast, seconds, failed)

    def _remember(
        self, owner: str, key: tuple[str, bool], size: int, forecast: Forecast, generation: int
    ) -> None:
        if forecast.outcome in (Outcome.UNKNOWN, Outcome.NO_ANSWER) or not self._seconds:
            return
        with self._lock:
            if generation != self._generation:
                return
            known = self._known.setdefault(owner, {})
            if len(known) >= _MOST_ADDRESSES:
                known.clear()
            now = self._clock()
            mark = _Mark(now + self._seconds, size, forecast)
            known[key] = known.get(key, _Known()).extended(mark, now)
            while len(self._known) > self._size:
                self._known.popitem(last=False)

    def _report(self, error: str) -> None:
        """Log once that lmtpd gives no answers, and once that it does again."""
        if error and not self._is_down:
            log.error("lmtpd cannot be asked, mail is accepted without its check: %s", error)
        elif self._is_down and not error:
            log.info("lmtpd answers again")
        self._is_down = bool(error)


def _has_mailbox(verdict: Verdict) -> bool:
    """Is there something that lmtpd can be asked about: a mailbox that exists, or a shared folder?"""
    if verdict.answer is Answer.PASS:
        return not verdict.user
    if verdict.answer is not Answer.ACCEPT:
        return False
    # A planned mailbox does not exist yet, and lmtpd's own autocreate would create it when asked.
    return not (verdict.plan and not verdict.report and verdict.plan.creates_inbox)


def _judged(verdict: Verdict, checked: _Checked) -> Verdict:
    outcome, why, reply = checked.forecast
    if outcome is Outcome.TAKEN and checked.seconds is None:
        return verdict  # the usual case, at no cost
    milliseconds = None if checked.seconds is None else checked.seconds * 1000
    asked = (*verdict.asked, Lookup(NAME, milliseconds, checked.failed))
    verdict = replace(verdict, asked=asked)
    match outcome:
        case Outcome.TAKEN:
            return replace(verdict, notes=(*verdict.notes, f"lmtpd says {why}"))
        case Outcome.NO_ANSWER:
            return replace(verdict, notes=(*verdict.notes, why))
        case Outcome.REFUSED:
            reason = f"Cyrus refuses the mail: {why}"
            return replace(verdict, answer=Answer.REFUSED, reason=reason, refusal=reply)
        case Outcome.CRASH:
            return replace(verdict, answer=Answer.TEMPORARY, reason=why)
        case Outcome.UNKNOWN if verdict.user:
            reason = f"INBOX exists, but lmtpd does not know it: {why}"
            return replace(verdict, answer=Answer.TEMPORARY, reason=reason)
        case Outcome.UNKNOWN:
            reason = f"no such shared folder: lmtpd says {why}"
            return replace(verdict, answer=Answer.UNKNOWN, reason=reason)
