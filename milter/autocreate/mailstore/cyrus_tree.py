"""How the parts of a tree are observed on Cyrus, and how each kind of action is carried out there.

`HOW` and `ASKED` have a line for each kind: carried out one by one, or several in one write. The action's lane says by
whom: `Administrator`, `User` or `Scripts`.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import Enum
from typing import Any, NamedTuple

from autocreate.core.address import needs_quotes
from autocreate.core.message import stamped
from autocreate.core.naming import Mailboxes
from autocreate.errors import Reason, Refused, Temporary
from autocreate.mailstore import Delivery, Outcome, ScriptStore
from autocreate.mailstore.annotations import annotation
from autocreate.mailstore.connection import Answer, Question
from autocreate.mailstore.imap import SPECIAL_USE, Session, creation, grant, id_of_new
from autocreate.mailstore.mailbox_ids import MailboxIds
from autocreate.tree.actions import (
    CreateMailbox,
    DeliverWelcome,
    InstallScript,
    SetAcl,
    SetQuota,
    SetSpecialUse,
    Subscribe,
    SubscribeShared,
)
from autocreate.tree.annotations import SetPrivateAnnotation, SetSharedAnnotation
from autocreate.tree.base import Action, Lane
from autocreate.tree.plan import Plan
from autocreate.tree.values import ALL_SHARED, Folder, Path, Quota


@dataclass(slots=True)
class Administrator:
    """The administrator, at work on one user's mailboxes."""

    session: Session
    names: Mailboxes
    user: str
    ids: MailboxIds
    new_inbox: str | None = None
    """INBOX was created just now: its id (RFC 8474), "" if the server tells none."""

    def observe(self, wanted: Folder) -> Folder | None:
        """A folder as it exists, as far as an administrator sees it; None if it does not."""
        with _missing_if_impossible():
            acl = self.session.acl(self.names.of_user(self.user, wanted.path))
            return None if acl is None else Folder(wanted.path, acl=acl)
        return None

    def quota(self) -> Quota:
        """The limits of INBOX's own quota root; empty if it has none, or one that does not count for it."""
        root = self.names.of_user(self.user)
        quota = self.session.quota(root)
        return quota if quota == Quota() or self.session.is_quota_root(root) else Quota()

    def create(self, action: CreateMailbox) -> None:
        name = self.names.of_user(self.user, action.path)
        created = self.session.create(name, action.special_use, action.partition)
        if created is not None:
            if not action.path:
                self.new_inbox = created
            self.ids.given(created, name, self.user)
        if not action.path and self.session.is_in_murder and not self.session.exists(name):
            # Its lmtpd would refuse the mail that we accept.
            raise Refused(
                f"CREATE: {name} exists, but this frontend of a Murder does not know it yet: see "
                "whether its mupdate runs and reaches the master"
            )

    def set_quota(self, action: SetQuota) -> None:
        root = self.names.of_user(self.user)
        # SETQUOTA takes away every limit that it does not name; a new INBOX has none yet.
        before = Quota() if self.new_inbox is not None else self.session.quota(root)
        if not self.session.set_quota(root, action.quota.keeping(before)):
            raise Refused(
                f"SETQUOTA: Cyrus said OK, and {root} has no quota root (was the disk full?): "
                f"run its quota -f {root}"
            )

    def carry_out(
        self, actions: Iterable[Action], outcome: Outcome, also: Sequence[Question] = ()
    ) -> list[Answer]:
        """Create folders and grant rights, as much as possible in one write.

        Args:
            outcome: of what was done so far; it is told of the rest.
            also: questions that go out with the last of them.

        Returns:
            The answers to `also`.
        """
        *batches, last = [*independent(actions)] or [[]]
        for batch in batches:
            self._attempt(batch, outcome)
        return self._attempt(last, outcome, also)

    def _attempt(
        self, batch: Sequence[Action], outcome: Outcome, also: Sequence[Question] = ()
    ) -> list[Answer]:
        """Ask for all of a batch in one write. Returns the answers to `also`."""
        questions: dict[Action, Question] = {}
        refusals: dict[Action, Refused] = {}
        for action in batch:
            try:
                if not outcome.loss(action):
                    questions[action] = ASKED[type(action)](self, action)
            except Refused as refusal:
                refusals[action] = refusal
        answers = self.session.ask(*questions.values(), *also)
        for action, answer in zip(questions, answers, strict=False):
            try:
                self._check(action, answer)
            except Refused as refusal:
                refusals[action] = refusal

        def judge(action: Action) -> None:
            if refusal := refusals.get(action):
                raise refusal

        outcome.attempt(batch, judge)
        return answers[len(questions) :]

    def _check(self, action: Action, answer: Answer) -> None:
        if answer.refusal is None:
            if isinstance(action, CreateMailbox):
                name = self.names.of_user(self.user, action.path)
                self.ids.given(id_of_new(answer), name, self.user)
        elif answer.refusal.reason is not Reason.EXISTS:
            raise answer.refusal

    def creation(self, action: CreateMailbox) -> Question:
        name = self.names.of_user(self.user, action.path)
        return creation(name, action.special_use, action.partition)

    def grant(self, action: SetAcl) -> Question:
        name = self.names.of_user(self.user, action.path)
        return grant(name, action.identifier, action.rights)

    def annotation(self, action: SetSharedAnnotation) -> Question:
        name = self.names.of_user(self.user, action.path)
        return annotation(name, action.entry, action.value)


def independent(actions: Iterable[Action]) -> Iterator[list[Action]]:
    """The administrator's actions in parts, each of which may go out in one write.

    A folder waits for the answer about the one above: Cyrus would make that too, without its special use.
    """
    part: list[Action] = []
    created: set[Path] = set()
    for action in actions:
        path = action.folder or ()
        if any(path[:depth] in created for depth in range(len(path))):
            yield part
            part, created = [], set()
        part.append(action)
        if isinstance(action, CreateMailbox):
            created.add(action.path)
    if part:
        yield part


class Inbox(Enum):
    """Where INBOX comes from, as far as one plan knows."""

    OLDER = "it existed before"
    CREATED = "this plan has created it"
    CREATED_BY_ANOTHER = "it did not exist, and somebody else was faster"


class User(NamedTuple):
    """A session in the user's own name.

    Args:
        delivery: how the user gets a message; None: by APPEND.
    """

    session: Session
    names: Mailboxes
    user: str
    delivery: Delivery | None = None
    inbox: Inbox = Inbox.OLDER

    def observe(self, folder: Folder, subscribed: frozenset[str]) -> Folder:
        """A folder that exists, with what only its user sees.

        Args:
            folder: as the administrator sees it.
            subscribed: the user's subscriptions, as the user names them.
        """
        with _missing_if_impossible():
            name = self.names.as_user(folder.path)
            return replace(
                folder,
                special_use=self.session.metadata(name, SPECIAL_USE) if folder.path else None,
                subscribe=name in subscribed,
            )
        return folder  # it exists, and its owner cannot name it

    def subscribed(self, folder: Folder, subscribed: frozenset[str]) -> Folder:
        """A folder of which all else is known; `subscribed` is as for `observe`."""
        with _missing_if_impossible():
            return replace(folder, subscribe=self.names.as_user(folder.path) in subscribed)
        return folder

    def has_shared(self, name: str, subscribed: frozenset[str]) -> bool:
        """Is the user subscribed to all that a name in `Tree.shared` means?"""
        with _missing_if_impossible():
            return subscribed.issuperset(map(self.names.shared_as_user, self._shared(name)))
        return False

    def expanded(self, actions: Iterable[Action]) -> Iterator[Action]:
        """The actions, with a subscription to all shared folders as one for each."""
        for action in actions:
            if isinstance(action, SubscribeShared):
                yield from map(SubscribeShared, self._shared(action.name))
            else:
                yield action

    def welcome(self, action: DeliverWelcome) -> None:
        """Put a message into INBOX, unless it is there.

        Its Message-ID and Date are the mailbox's own. So whoever tries again, here or on another MTA, finds
        it, and lmtpd's duplicate suppression, which compares both (imap/lmtpd.c), knows it.
        """
        if self.inbox is Inbox.CREATED_BY_ANOTHER:
            raise Refused(
                "INBOX was created by somebody else at the same moment; looking again later"
            )
        inbox = self.names.as_user(())
        message_id = welcome_id(self.session.unique_id(inbox))
        if self.inbox is Inbox.OLDER and self.session.has_message(inbox, message_id):
            return
        created = datetime.fromtimestamp(self.session.created_at(inbox), UTC)
        message = stamped(action.welcome.message, message_id, format_datetime(created))
        # lmtpd takes no local part with a blank or another mark that needs quotes.
        if self.delivery is None or needs_quotes(self.user.partition("@")[0]):
            self.session.append(inbox, message)
            return
        try:
            self.delivery.deliver(self.user, message)
        except Temporary as error:  # of lmtpd: this session is still good
            raise Refused(str(error)) from error

    def set_special_use(self, action: SetSpecialUse) -> None:
        self.session.set_metadata(self.names.as_user(action.path), SPECIAL_USE, action.special_use)

    def annotate(self, action: SetPrivateAnnotation) -> None:
        name = self.names.as_user(action.path)
        self.session.ask(annotation(name, action.entry, action.value))[0].require()

    def subscribe(self, action: Subscribe) -> None:
        self.session.subscribe(self.names.as_user(action.path))

    def subscribe_shared(self, action: SubscribeShared) -> None:
        self.session.subscribe(self.names.shared_as_user(action.name))

    def _shared(self, name: str) -> list[str]:
        """The shared folders that a name in `Tree.shared` means."""
        if name != ALL_SHARED:
            return [name]
        seen = map(self.names.as_shared, self.session.mailboxes_below(self.names.shared))
        return [shared for shared in seen if shared is not None]


class Scripts(NamedTuple):
    """The script store, at work for one user; None where scripts are not ours.

    Args:
        new_inbox: see `ScriptStore.install`.
    """

    store: ScriptStore | None
    user: str
    new_inbox: str

    def install(self, action: InstallScript) -> None:
        if self.store:
            self.store.install(self.user, action.script, self.new_inbox)


HOW: Mapping[type[Action], Callable[[Any, Any], None]] = {
    CreateMailbox: Administrator.create,
    SetQuota: Administrator.set_quota,
    InstallScript: Scripts.install,
    SetPrivateAnnotation: User.annotate,
    DeliverWelcome: User.welcome,
    SetSpecialUse: User.set_special_use,
    Subscribe: User.subscribe,
    SubscribeShared: User.subscribe_shared,
}


ASKED: Mapping[type[Action], Callable[[Any, Any], Question]] = {
    CreateMailbox: Administrator.creation,
    SetAcl: Administrator.grant,
    SetSharedAnnotation: Administrator.annotation,
}


class Parts(NamedTuple):
    """A plan's actions, by who carries them out and when.

    Args:
        essential: what mail needs.
        folders: the administrator's work up to the last on a folder that the user's work needs.
        rest: the administrator's work after that.
        scripts: what the script store does.
        users: what is done in the user's name.
    """

    essential: Sequence[Action]
    folders: Sequence[Action]
    rest: Sequence[Action]
    scripts: Sequence[Action]
    users: Sequence[Action]


def split(plan: Plan) -> Parts:
    """The parts of a plan."""
    lanes: dict[Lane, list[Action]] = {lane: [] for lane in Lane}
    for action in plan.actions:
        if not action.is_essential:
            lanes[action.lane].append(action)
    administrators, scripts, users = (lanes[lane] for lane in Lane)
    last = len(administrators)
    if users:  # they wait for no more than what they need
        needed = {action.folder for action in users}
        while last and administrators[last - 1].folder not in needed:
            last -= 1
    return Parts(plan.essential, administrators[:last], administrators[last:], scripts, users)


def welcome_id(unique_id: str) -> str:
    """The Message-ID (RFC 5322, 3.6.4) of the welcome message in the INBOX with this unique id."""
    return f"<welcome.{re.sub('[^A-Za-z0-9-]', '-', unique_id)}@autocreate-milter.invalid>"


@contextlib.contextmanager
def _missing_if_impossible() -> Iterator[None]:
    """Go on after a refusal of what can never exist. Whoever applies a plan says why."""
    try:
        yield
    except Refused as refusal:
        if refusal.reason is not Reason.IMPOSSIBLE:
            raise
