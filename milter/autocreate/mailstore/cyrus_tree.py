"""How the parts of a tree are observed on Cyrus, and how each kind of action is carried out there.

`HOW` has a line for each kind. The action's lane says by whom: `Administrator`, `User` or `Scripts`.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate
from enum import Enum
from typing import Any, NamedTuple

from autocreate.core.address import needs_quotes
from autocreate.core.message import stamped
from autocreate.core.naming import Mailboxes
from autocreate.errors import Reason, Refused, Temporary
from autocreate.mailstore import Delivery, ScriptStore
from autocreate.mailstore.annotations import annotate
from autocreate.mailstore.imap import SPECIAL_USE, Session
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
from autocreate.tree.values import ALL_SHARED, Folder, Quota


@dataclass(slots=True)
class Administrator:
    """The administrator, at work on one user's mailboxes."""

    session: Session
    names: Mailboxes
    user: str
    is_new: bool = False
    """INBOX was created just now."""

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
        is_created = self.session.create(name, action.special_use, action.partition)
        self.is_new |= is_created and not action.path

    def set_quota(self, action: SetQuota) -> None:
        root = self.names.of_user(self.user)
        # SETQUOTA takes away every limit that it does not name; a new INBOX has none yet.
        before = Quota() if self.is_new else self.session.quota(root)
        self.session.set_quota(root, action.quota.keeping(before))
        if not self.session.is_quota_root(root):
            raise Refused(
                f"SETQUOTA: Cyrus said OK, and {root} has no quota root (was the disk full?): "
                f"run its quota -f {root}"
            )

    def annotate(self, action: SetSharedAnnotation) -> None:
        name = self.names.of_user(self.user, action.path)
        annotate(self.session, name, action.entry, action.value)

    def set_acl(self, action: SetAcl) -> None:
        name = self.names.of_user(self.user, action.path)
        self.session.set_acl(name, action.identifier, action.rights)


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

        Its Message-ID is the mailbox's own. So whoever tries again, here or on another MTA, finds it,
        and lmtpd's duplicate suppression knows it.
        """
        if self.inbox is Inbox.CREATED_BY_ANOTHER:
            raise Refused(
                "INBOX was created by somebody else at the same moment; looking again later"
            )
        inbox = self.names.as_user(())
        message_id = welcome_id(self.session.unique_id(inbox))
        if self.inbox is Inbox.OLDER and self.session.has_message(inbox, message_id):
            return
        message = stamped(action.welcome.message, message_id, formatdate(localtime=True))
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
        annotate(self.session, self.names.as_user(action.path), action.entry, action.value)

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
    """The script store, at work for one user; None where scripts are not ours."""

    store: ScriptStore | None
    user: str

    def install(self, action: InstallScript) -> None:
        if self.store:
            self.store.install(self.user, action.script)


HOW: Mapping[type[Action], Callable[[Any, Any], None]] = {
    CreateMailbox: Administrator.create,
    SetQuota: Administrator.set_quota,
    SetAcl: Administrator.set_acl,
    SetSharedAnnotation: Administrator.annotate,
    InstallScript: Scripts.install,
    SetPrivateAnnotation: User.annotate,
    DeliverWelcome: User.welcome,
    SetSpecialUse: User.set_special_use,
    Subscribe: User.subscribe,
    SubscribeShared: User.subscribe_shared,
}


class Parts(NamedTuple):
    """A plan's actions, by who carries them out and when.

    Args:
        essential: what mail needs.
        folders: the administrator's work up to the last folder that the user's work needs.
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
    needed = {action.folder for action in lanes[Lane.USER]}
    administrators = lanes[Lane.ADMINISTRATOR]
    last = max(
        (
            number
            for number, action in enumerate(administrators, start=1)
            if isinstance(action, CreateMailbox) and action.path in needed
        ),
        default=0,
    )
    return Parts(
        plan.essential,
        administrators[:last],
        administrators[last:],
        lanes[Lane.SCRIPTS],
        lanes[Lane.USER],
    )


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
