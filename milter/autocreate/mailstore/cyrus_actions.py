"""How each kind of action is carried out on Cyrus: `HOW` has a line for each, whose lane says by whom."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from autocreate.core.naming import Mailboxes
from autocreate.errors import Refused
from autocreate.mailstore import ScriptStore
from autocreate.mailstore.imap import SPECIAL_USE, Session
from autocreate.tree.actions import (
    CreateMailbox,
    InstallScript,
    SetAcl,
    SetQuota,
    SetSpecialUse,
    Subscribe,
    SubscribeShared,
)
from autocreate.tree.base import Action, Lane
from autocreate.tree.plan import Plan
from autocreate.tree.values import ALL_SHARED, Quota


@dataclass(slots=True)
class Administrator:
    """The administrator, at work on one user's mailboxes."""

    session: Session
    names: Mailboxes
    user: str
    is_new: bool = False
    """INBOX was created just now."""

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

    def set_acl(self, action: SetAcl) -> None:
        name = self.names.of_user(self.user, action.path)
        self.session.set_acl(name, action.identifier, action.rights)


class User(NamedTuple):
    """A session in the user's own name."""

    session: Session
    names: Mailboxes

    def set_special_use(self, action: SetSpecialUse) -> None:
        self.session.set_metadata(self.names.as_user(action.path), SPECIAL_USE, action.special_use)

    def subscribe(self, action: Subscribe) -> None:
        self.session.subscribe(self.names.as_user(action.path))

    def subscribe_shared(self, action: SubscribeShared) -> None:
        self.session.subscribe(self.names.shared_as_user(action.name))


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
    InstallScript: Scripts.install,
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


def expanded(user: User, actions: Iterable[Action]) -> Iterator[Action]:
    """The actions in a user's name, with a subscription to all shared folders as one for each."""
    for action in actions:
        if isinstance(action, SubscribeShared):
            yield from map(SubscribeShared, shared_names(user, action.name))
        else:
            yield action


def shared_names(user: User, name: str) -> list[str]:
    """The shared folders that a name of a tree means."""
    if name != ALL_SHARED:
        return [name]
    seen = map(user.names.as_shared, user.session.mailboxes_below(user.names.shared))
    return [shared for shared in seen if shared is not None]
