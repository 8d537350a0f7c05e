"""What dry run saw, in the journal: each recipient with the verdict that would have counted."""

import logging
import time
from functools import partial

from autocreate.errors import AutocreateError
from autocreate.model import Answer, Recipient, Verdict
from autocreate.resilience.single_flight import SingleFlight
from autocreate.service.journal import Journal

log = logging.getLogger(__name__)

_LEAST = 0.1  # seconds, if the deadline is near


class DryRunRecords:
    """Records verdicts that are not acted upon. Safe to use from several threads.

    Args:
        single_flight: runs the writing, so that a journal that hangs keeps nobody beyond the deadline.
    """

    def __init__(self, journal: Journal, single_flight: SingleFlight[Verdict]) -> None:
        self._journal = journal
        self._single_flight = single_flight

    def record(self, recipient: Recipient, verdict: Verdict, until: float) -> None:
        """Record a verdict, unless the mail is somebody else's. Never raises: a failure is logged.

        Args:
            until: when to stop waiting for it, by time.monotonic().
        """
        if verdict.answer is Answer.PASS and not verdict.user:
            return
        write = partial(self._write, recipient, verdict)
        timeout = max(_LEAST, until - time.monotonic())
        try:
            self._single_flight.join(("record", recipient.argument), write, timeout)
        except AutocreateError as error:
            log.error("dry run: not recorded: %s", error)
        except Exception:
            log.exception("dry run: not recorded: a defect of this program")

    def _write(self, recipient: Recipient, verdict: Verdict) -> Verdict:
        self._journal.record(recipient, verdict)
        return verdict
