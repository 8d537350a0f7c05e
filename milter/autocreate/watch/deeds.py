"""What a round does with those whom it found: create, stop, or say what it would do."""

import logging
import time
from collections.abc import Callable
from contextlib import closing

from autocreate.admin.components import Components
from autocreate.model import Answer, Verdict
from autocreate.watch.figures import Figures
from autocreate.watch.records import Records, Stopped
from autocreate.watch.rounds import AtMost, Round

log = logging.getLogger(__name__)

# Seconds after which a user who cannot be looked at no longer keeps the watch from going on.
_PATIENT = 3600.0


class Deeds:
    """Remembers from round to round who could not be looked at, and what dry run has said.

    Args:
        created: is told of each user who was worked on.
        may_go_on: is asked between two users.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        figures: Figures,
        created: Callable[[str], None],
        may_go_on: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._figures = figures
        self._created = created
        self._may_go_on = may_go_on
        self._clock = clock
        self._failing: dict[str, float] = {}  # users, and since when
        self._told: set[str] = set()

    def deal_with(
        self, round_: Round, components: Components, records: Records, at_most: AtMost
    ) -> bool:
        """Plan, and carry the plans out unless they are too many. Returns whether everybody was dealt with.

        Raises:
            Temporary: Cyrus or the journal cannot be used.
        """
        dry_run = components.dry_run
        is_settled = True
        failing: dict[str, float] = {}
        with closing(round_.plan(None if dry_run else at_most.count)) as planned:
            for user, verdict in planned:
                if not self._may_go_on():
                    return False
                if verdict.answer is Answer.TEMPORARY and not self._is_given_up(user, verdict):
                    failing[user] = self._failing.get(user, self._clock())
                    is_settled = False
                elif verdict.answer is Answer.TEMPORARY and not dry_run:
                    components.service.schedule_account(user, round_.address(user), verdict.reason)
                    log.error("watch: %s: left to the journal: %s", user, verdict.reason)
        self._failing = failing
        too_many = round_.too_many(at_most)
        if dry_run:
            self._tell(round_, too_many)
            return is_settled
        if too_many:
            stopped = Stopped(time.time(), len(round_.plans), too_many)
            records.stop(stopped)
            self._figures.stopped(stopped)
            return False
        return self._create(round_, records) and is_settled

    def _is_given_up(self, user: str, verdict: Verdict) -> bool:
        self._figures.failed(user, verdict.reason)
        return self._clock() - self._failing.get(user, self._clock()) >= _PATIENT

    def _create(self, round_: Round, records: Records) -> bool:
        created = 0
        try:
            with closing(round_.apply()) as applied:
                for user, verdict in applied:
                    self._created(user)
                    if verdict.created:
                        created += 1
                        self._figures.created()
                    if verdict.answer is Answer.TEMPORARY and not verdict.limited:
                        log.warning("watch: %s: %s", user, verdict.reason)
                    # `limits` has its own line.
                    if verdict.limited or not self._may_go_on():
                        return False
            return True
        finally:
            if created:
                records.count_created(created)

    def _tell(self, round_: Round, too_many: str) -> None:
        if too_many:
            self._figures.would_stop(too_many)
            return
        users = set()
        for user, verdict in round_.plans.verdicts():
            users.add(user)
            if user not in self._told:
                log.info("watch: dry run: %s: would be created, by policy %r", user, verdict.policy)
        if users - self._told:
            with closing(round_.apply()) as applied:
                for _ in applied:
                    pass  # in dry run, it only records what it would do
        self._told = users
