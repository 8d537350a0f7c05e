"""One round of the watch: who is new, what would be created for them, is it too much, and then do it.

A source's mark is kept only when everybody whom it found has been dealt with: has a mailbox, is to have none,
or is in the journal of unfinished trees. Otherwise the next round asks from the same mark.
"""

import logging
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from autocreate.accounts.changes import Found, Tracker
from autocreate.admin.bulk import in_parallel
from autocreate.admin.components import Components
from autocreate.admin.plans import Plans
from autocreate.admin.selection import Selection
from autocreate.admin.survey import Survey
from autocreate.admin.surveying import add_exempt
from autocreate.errors import Temporary
from autocreate.model import Address, Answer, Verdict
from autocreate.tree.actions import CreateMailbox
from autocreate.watch.records import Records

log = logging.getLogger(__name__)

# Up to so many users are looked at one by one; for more, Cyrus lists all its mailboxes at once.
_FEW = 100
# As many new mailboxes are never too many, whatever their share.
_ALWAYS_ALLOWED = 10
_ANYONE = Selection()


@dataclass(frozen=True, slots=True)
class AtMost:
    """How many mailboxes may be created without being told to.

    Args:
        count: within an hour.
        percent: of the mailboxes that exist.
    """

    count: int
    percent: int


@dataclass(slots=True)
class Looked:
    """What sources had to tell.

    Args:
        marks: what to keep once everybody has been dealt with, by source.
        errors: why a source could not be asked, by source; "" if it could.
        listed: the sources that were listed as a whole.
    """

    marks: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)


class Round:
    """One round. A context manager, for one thread.

    Args:
        trackers: of the sources that can be watched.
        clock: the time in seconds since the epoch.
    """

    def __init__(
        self,
        components: Components,
        trackers: Sequence[Tracker],
        records: Records,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._components = components
        self._trackers = trackers
        self._records = records
        self._clock = clock
        self._knows_mailboxes = False
        self.survey = Survey()
        self.plans = Plans()
        self.looked = Looked()

    def close(self) -> None:
        """Close what is kept on disk."""
        self.plans.close()
        self.survey.close()

    def look(self, followed: Collection[str] = ()) -> None:
        """Ask every source whose time has come. One that does not answer does not keep the others waiting.

        Args:
            followed: sources of which each change is reported.

        Raises:
            Temporary: the journal cannot be read.
        """
        for tracker in self._trackers:
            mark = self._records.mark(tracker.name)
            try:
                found = tracker.look(mark, self._clock(), tracker.name in followed)
                if found is not None:
                    self._add(tracker.name, found)
                self.looked.errors[tracker.name] = ""
            except Temporary as error:
                text = str(error).removeprefix(f"accounts.{tracker.name}: ")
                self.looked.errors[tracker.name] = text

    def add(self, names: Iterable[str]) -> None:
        """Add users whom a source has reported."""
        users = self._components.service.rules.users
        self.survey.add_accounts(filter(None, map(users.of_account, names)))

    def new(self) -> Iterator[str]:
        """The users found who may have no mailbox, in order.

        Raises:
            Temporary: Cyrus did not list its mailboxes.
        """
        if self.survey.accounts <= _FEW:
            return self.survey.everyone()
        self._list_mailboxes()
        add_exempt(self.survey, self._components, _ANYONE)
        return self.survey.without_mailbox()

    def plan(self, most: int | None = None) -> Generator[tuple[str, Verdict], None, None]:
        """Plan for the users found, and keep the plans of those whose mailbox is to be created.

        Yields each user with the verdict. Ends early when more than `most` plans were kept.

        Raises:
            Temporary: as for `new`.
        """
        service = self._components.service
        jobs = (
            (user, partial(service.provision, self.address(user), apply=False, is_user=True))
            for user in self.new()
        )
        with closing(in_parallel(jobs, self._components.parallel)) as verdicts:
            for user, verdict in verdicts:
                if _creates(verdict):
                    self.plans.add(user, verdict)
                yield user, verdict
                if most is not None and len(self.plans) > most:
                    return

    def too_many(self, at_most: AtMost) -> str:
        """Why the mailboxes that are planned are too many; "" if they are not.

        Raises:
            Temporary: Cyrus did not list its mailboxes, or the journal cannot be read.
        """
        new = len(self.plans)
        if new == 0:
            return ""
        lately = self._records.created_lately()
        if lately + new > at_most.count:
            within = f" after {lately} within an hour" if lately else ""
            return f"{new} or more new mailboxes{within} are more than watch.at_most.count"
        if new > _ALWAYS_ALLOWED:
            self._list_mailboxes()
            if new * 100 > self.survey.mailboxes * at_most.percent:
                beside = f"beside {self.survey.mailboxes}"
                return f"{new} new mailboxes {beside} are more than watch.at_most.percent"
        return ""

    def apply(self) -> Generator[tuple[str, Verdict], None, None]:
        """Create the planned mailboxes. Yields each user with the verdict.

        Who failed is noted in the journal, to be tried again; not so whom a limit defers.

        Raises:
            Temporary: the journal cannot be written.
        """
        users = (user for user, _ in self.plans.verdicts())
        service = self._components.service
        jobs = (
            (user, partial(service.provision_account, user, self.address(user))) for user in users
        )
        with closing(in_parallel(jobs, self._components.parallel)) as verdicts:
            for user, verdict in verdicts:
                failed = verdict.answer is Answer.TEMPORARY and not verdict.limited
                if failed and not self._components.dry_run:
                    service.schedule_account(user, self.address(user), verdict.reason)
                yield user, verdict

    def keep_marks(self) -> None:
        """Keep up to where the sources were read. Raises Temporary if the journal cannot be written."""
        for source, mark in self.looked.marks.items():
            self._records.keep_mark(source, mark)

    def count_without_account(self) -> int | None:
        """How many mailboxes have no account; None if this round has not seen all accounts and mailboxes."""
        sees_all = self.looked.listed == {it.name for it in self._trackers}
        if not (sees_all and self._knows_mailboxes):
            return None
        return self.survey.mailboxes - self.survey.count_with_both()

    def address(self, user: str) -> Address:
        """The address by which a user's policy is chosen."""
        return self._components.accounts.address(user, _ANYONE)

    def _add(self, source: str, found: Found) -> None:
        self.add(found.names)
        if found.mark is not None:
            self.looked.marks[source] = found.mark
        if found.is_list:
            self.looked.listed.add(source)

    def _list_mailboxes(self) -> None:
        if not self._knows_mailboxes:
            self.survey.add_mailboxes(self._components.store.users())
            self._knows_mailboxes = True


def _creates(verdict: Verdict) -> bool:
    """Would a user get an INBOX by this verdict? A tree that is unfinished is completed by others."""
    if verdict.answer is not Answer.ACCEPT or verdict.plan is None:
        return False
    return any(isinstance(it, CreateMailbox) and not it.path for it in verdict.plan.actions)
