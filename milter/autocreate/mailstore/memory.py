"""A mail store that lives in memory. The contract tests keep it like the real one."""

import threading
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from autocreate.core.annotations import is_defined, value_problem
from autocreate.core.naming import Mailboxes
from autocreate.core.sizes import GREATEST_LIMIT
from autocreate.errors import AutocreateError, Reason, Refused, Temporary
from autocreate.mailstore import Outcome
from autocreate.model import Version
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
from autocreate.tree.annotations import SetAnnotation, SetPrivateAnnotation, SetSharedAnnotation
from autocreate.tree.base import Action, Lane
from autocreate.tree.plan import ApplyResult, Plan
from autocreate.tree.values import ALL_SHARED, Folder, Script, Tree

# What a folder's owner may do with it in a new Cyrus mailbox, and what nobody takes from the owner.
OWNER_RIGHTS = "lrswipkxtecdan"
_INALIENABLE = "lkxcan"


class Memory:
    """Trees by user.

    Set `failure` to have every call fail with it, as a server does that is down; `script_failure`
    to have only scripts fail. `wrong_scripts` are texts that do not compile, each with its error.

    Args:
        shared: the folders outside users' own that users may subscribe to.
        partitions: where mailboxes can be.
        version: which Cyrus it acts as.
    """

    def __init__(
        self,
        shared: frozenset[str] = frozenset(),
        partitions: frozenset[str] = frozenset({"default"}),
        version: Version = (3, 10),
    ) -> None:
        self.trees: dict[str, Tree] = {}
        self.shared = shared
        self.failure: AutocreateError | None = None
        self.script_failure: AutocreateError | None = None
        self.wrong_scripts: dict[bytes, str] = {}
        self._partitions = partitions
        self._version = version
        self._names = Mailboxes("/", "INBOX/")
        self._lock = threading.Lock()

    def exists(self, user: str) -> bool:
        """Does INBOX exist? See `MailStore.exists`."""
        if self.failure:
            raise self.failure
        self._names.of_user(user)
        return user in self.trees

    def confirm_missing(self, user: str) -> None:
        """It knows all there is. See `MailStore.confirm_missing`."""

    def where(self, user: str) -> str:
        """There is one server. See `MailStore.where`."""
        return ""

    def placed(self, plan: Plan) -> Plan:
        """There is one server. See `MailStore.placed`."""
        return plan

    def version(self) -> Version:
        """See `MailStore.version`."""
        if self.failure:
            raise self.failure
        return self._version

    def observe(self, user: str, wanted: Tree) -> Tree:
        """What exists of `wanted`. See `MailStore.observe`."""
        if self.failure:
            raise self.failure
        self._names.of_user(user)
        tree = self.trees.get(user, Tree())
        asked = {folder.path: dict(folder.annotations) for folder in wanted.folders}
        existing = {
            folder.path: _seen(folder, asked.get(folder.path, {})) for folder in tree.folders
        }
        return Tree(
            tuple(existing[folder.path] for folder in wanted.folders if folder.path in existing),
            tree.quota,
            tuple(name for name in wanted.shared if self._named(name) <= set(tree.shared)),
            tree.script if wanted.script and not self.script_failure else None,
        )

    def apply(self, plan: Plan) -> ApplyResult:
        """Carry out a plan. See `MailStore.apply`."""
        with self._lock:
            try:
                if self.failure:
                    raise self.failure
                self._names.of_user(plan.user)
            except AutocreateError as error:
                return Outcome.broken_off(plan.actions, error).of(plan)
            return self._applied(plan).of(plan)

    def _applied(self, plan: Plan) -> Outcome:
        """As on Cyrus, the script comes after the folders, and what is done in the user's name last."""
        whole = Outcome()
        for lane in Lane:
            actions = [action for action in plan.actions if action.lane is lane]
            if any(failure.action.is_essential for failure in whole.failed):
                whole.not_tried(actions, whole.failed[0].action)
                continue
            part = Outcome(whole)
            try:
                part.attempt(actions, partial(self._change, plan.user))
            except Temporary as error:
                part = Outcome.broken_off(actions, error)
            whole.add(part)
        return whole

    def _change(self, user: str, action: Action) -> None:
        tree = self.trees.get(user, Tree())
        self.trees[user] = HOW[type(action)](self, tree, user, action)

    def check(self, script: Script) -> tuple[str, ...]:
        """Does a script compile? See `ScriptStore.check`."""
        if error := self.failure or self.script_failure:
            raise error
        if wrong := self.wrong_scripts.get(script.text):
            raise Refused(f"it does not compile: {wrong}", Reason.IMPOSSIBLE)
        return ()

    def users(self) -> Iterator[str]:
        """Every user who has an INBOX. See `MailStore.users`."""
        if self.failure:
            raise self.failure
        yield from tuple(self.trees)

    def snapshot(self) -> dict[str, Any]:
        """There are no connections: see `MailStore.snapshot`."""
        state = {"up": self.failure is None, "since": 0.0, "error": str(self.failure or "")}
        return {"busy": 0, "idle": 0, "size": 0, "state": state}

    def close(self) -> None:
        """Nothing to let go of, but a closed store is not used again."""
        self.failure = Temporary("the store is closed")

    def create(self, tree: Tree, user: str, action: CreateMailbox) -> Tree:
        """The tree with a folder, and with whatever is missing above it."""
        self._names.of_user(user, action.path)
        if any(folder.path == action.path for folder in tree.folders):
            return tree
        if action.path and not tree.folders:
            raise Refused("Permission denied", Reason.FORBIDDEN)
        if action.special_use and len(action.path) != 1:
            raise Refused("SPECIAL-USE flag conflict", Reason.TAKEN)
        if action.partition and action.partition not in self._partitions:
            raise Refused("Unknown/invalid partition")
        if len(action.path) > 1:
            tree = self.create(tree, user, CreateMailbox(action.path[:-1]))
        acl = _find(tree, action.path[:-1]).acl if action.path else ((user, OWNER_RIGHTS),)
        folder = Folder(action.path, action.special_use, acl=acl, partition=action.partition)
        return replace(tree, folders=(*tree.folders, folder))

    def install(self, tree: Tree, _user: str, action: InstallScript) -> Tree:
        """The tree with a script, unless it has one."""
        if tree.script:
            return tree
        self.check(action.script)
        return replace(tree, script=action.script)

    def subscribe_shared(self, tree: Tree, _user: str, action: SubscribeShared) -> Tree:
        """The tree with a subscription to shared folders."""
        names = self._named(action.name)
        if not names <= self.shared:
            raise Refused("Mailbox does not exist", Reason.MISSING)
        return replace(tree, shared=tuple(dict.fromkeys((*tree.shared, *sorted(names)))))

    def _named(self, name: str) -> frozenset[str]:
        """The shared folders that a name of a tree means."""
        return self.shared if name == ALL_SHARED else frozenset({name})


def _set_quota(_store: Memory, tree: Tree, _user: str, action: SetQuota) -> Tree:
    _find(tree, ())
    if max(action.quota.storage or 0, action.quota.messages or 0) > GREATEST_LIMIT:
        raise Refused("more than can be counted", Reason.IMPOSSIBLE)
    return replace(tree, quota=action.quota.keeping(tree.quota))


def _set_acl(_store: Memory, tree: Tree, user: str, action: SetAcl) -> Tree:
    identifier, rights = action.identifier, action.rights
    return _with(tree, action.path, lambda folder: _granted(folder, user, identifier, rights))


def _annotate(_store: Memory, tree: Tree, _user: str, action: SetAnnotation) -> Tree:
    if not is_defined(action.entry) or value_problem(action.entry, action.value):
        raise Refused("Permission denied", Reason.FORBIDDEN)

    def annotated(folder: Folder) -> Folder:
        values = dict(folder.annotations) | {action.entry: action.value}
        return replace(folder, annotations=tuple(values.items()))

    return _with(tree, action.path, annotated)


def _seen(folder: Folder, entries: Container[str]) -> Folder:
    """A folder as it is observed: with those annotations that are asked for."""
    annotations = tuple(pair for pair in folder.annotations if pair[0] in entries)
    return replace(folder, partition=None, annotations=annotations)


def _set_special_use(_store: Memory, tree: Tree, _user: str, action: SetSpecialUse) -> Tree:
    if any(folder.special_use == action.special_use for folder in tree.folders):
        raise Refused("SPECIAL-USE flag conflict", Reason.TAKEN)
    return _with(tree, action.path, lambda it: replace(it, special_use=action.special_use))


def _welcome(_store: Memory, tree: Tree, _user: str, action: DeliverWelcome) -> Tree:
    _find(tree, ())
    return tree if tree.welcome else replace(tree, welcome=action.welcome)


def _subscribe(_store: Memory, tree: Tree, _user: str, action: Subscribe) -> Tree:
    return _with(tree, action.path, lambda folder: replace(folder, subscribe=True))


HOW: Mapping[type[Action], Callable[[Memory, Tree, str, Any], Tree]] = {
    CreateMailbox: Memory.create,
    SetQuota: _set_quota,
    SetAcl: _set_acl,
    SetSharedAnnotation: _annotate,
    SetPrivateAnnotation: _annotate,
    InstallScript: Memory.install,
    DeliverWelcome: _welcome,
    SetSpecialUse: _set_special_use,
    Subscribe: _subscribe,
    SubscribeShared: Memory.subscribe_shared,
}


def _find(tree: Tree, path: tuple[str, ...]) -> Folder:
    for folder in tree.folders:
        if folder.path == path:
            return folder
    raise Refused("Mailbox does not exist", Reason.MISSING)


def _with(tree: Tree, path: tuple[str, ...], change: Callable[[Folder], Folder]) -> Tree:
    changed = _find(tree, path)
    return replace(
        tree,
        folders=tuple(change(folder) if folder is changed else folder for folder in tree.folders),
    )


def _granted(folder: Folder, user: str, identifier: str, rights: str) -> Folder:
    if not (identifier.isascii() and identifier.isprintable()):
        raise Refused(f"{identifier!r} has characters that IMAP cannot quote", Reason.IMPOSSIBLE)
    if identifier == user:
        rights += _INALIENABLE
    acl = dict(folder.acl)
    acl[identifier] = _shown(rights)
    return replace(folder, acl=tuple(entry for entry in acl.items() if entry[1]))


def _shown(rights: str) -> str:
    """Rights as Cyrus shows them: with the obsolete ones beside each of their parts."""
    exact = set(rights.replace("c", "kx").replace("d", "te"))
    shown = exact | {"c" for _ in exact & set("kx")} | {"d" for _ in exact & set("te")}
    return "".join(right for right in "lrswipkxtecdan0123456789" if right in shown)
