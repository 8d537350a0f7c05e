"""A mail store that lives in memory. The contract tests keep it like the real one."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from autocreate.core.naming import Mailboxes
from autocreate.core.sizes import GREATEST_LIMIT
from autocreate.errors import AutocreateError, Reason, Refused, Temporary
from autocreate.mailstore import Outcome, not_tried
from autocreate.model import (
    ALL_SHARED,
    Action,
    ApplyResult,
    CreateMailbox,
    Failure,
    Folder,
    InstallScript,
    Plan,
    Script,
    SetAcl,
    SetQuota,
    SetSpecialUse,
    Subscribe,
    SubscribeShared,
    Tree,
    UserAction,
    Version,
)

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
        """Does INBOX stand? See `MailStore.exists`."""
        if self.failure:
            raise self.failure
        self._names.of_user(user)
        return user in self.trees

    def version(self) -> Version:
        """See `MailStore.version`."""
        if self.failure:
            raise self.failure
        return self._version

    def observe(self, user: str, wanted: Tree) -> Tree:
        """What stands of `wanted`. See `MailStore.observe`."""
        if self.failure:
            raise self.failure
        self._names.of_user(user)
        tree = self.trees.get(user, Tree())
        standing = {folder.path: replace(folder, partition=None) for folder in tree.folders}
        return Tree(
            tuple(standing[folder.path] for folder in wanted.folders if folder.path in standing),
            tree.quota,
            tuple(name for name in wanted.shared if self._named(name) <= set(tree.shared)),
            tree.script if wanted.script and not self.script_failure else None,
        )

    def apply(self, plan: Plan) -> ApplyResult:
        """Carry out a plan. See `MailStore.apply`."""
        if self.failure:
            error = str(self.failure)
            return ApplyResult(plan, tuple(Failure(action, error) for action in plan.actions))
        outcome = Outcome()
        # As on Cyrus, the script comes after the folders, and what is done in the user's name last.
        actions = sorted(
            plan.actions,
            key=lambda action: (isinstance(action, UserAction), isinstance(action, InstallScript)),
        )
        with self._lock:
            for position, action in enumerate(actions, start=1):
                self._try(plan.user, action, outcome)
                if outcome.failed and action in plan.essential:
                    outcome.failed += not_tried(actions[position:], action)
                    break
        return outcome.of(plan)

    def _try(self, user: str, action: Action, outcome: Outcome) -> None:
        if outcome.is_lost(action):
            return
        try:
            self._names.of_user(user)
        except Refused as refusal:
            outcome.failed.append(Failure(action, str(refusal)))
            return
        try:
            self.trees[user] = self._changed(self.trees.get(user, Tree()), user, action)
        except Refused as refusal:
            outcome.refused(action, refusal)
        except Temporary as error:
            outcome.failed.append(Failure(action, str(error)))

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

    def snapshot(self) -> dict[str, int]:
        """There are no connections: see `MailStore.snapshot`."""
        return {"busy": 0, "idle": 0, "size": 0}

    def close(self) -> None:
        """Nothing to let go of, but a closed store is not used again."""
        self.failure = Temporary("the store is closed")

    def _changed(self, tree: Tree, user: str, action: Action) -> Tree:
        match action:
            case CreateMailbox():
                self._names.of_user(user, action.path)
                return self._created(tree, user, action)
            case SetQuota(quota):
                _find(tree, ())
                if max(quota.storage or 0, quota.messages or 0) > GREATEST_LIMIT:
                    raise Refused("more than can be counted", Reason.IMPOSSIBLE)
                return replace(tree, quota=quota.keeping(tree.quota))
            case SetAcl(path, identifier, rights):
                return _with(tree, path, lambda folder: _granted(folder, user, identifier, rights))
            case SetSpecialUse(path, special_use):
                if any(folder.special_use == special_use for folder in tree.folders):
                    raise Refused("SPECIAL-USE flag conflict", Reason.TAKEN)
                return _with(tree, path, lambda folder: replace(folder, special_use=special_use))
            case InstallScript(script):
                if tree.script:
                    return tree
                self.check(script)
                return replace(tree, script=script)
            case Subscribe(path):
                return _with(tree, path, lambda folder: replace(folder, subscribe=True))
            case SubscribeShared(name):
                if not self._named(name) <= self.shared:
                    raise Refused("Mailbox does not exist", Reason.MISSING)
                return replace(
                    tree, shared=tuple(dict.fromkeys((*tree.shared, *sorted(self._named(name)))))
                )

    def _named(self, name: str) -> frozenset[str]:
        """The shared folders that a name of a tree stands for."""
        return self.shared if name == ALL_SHARED else frozenset({name})

    def _created(self, tree: Tree, user: str, action: CreateMailbox) -> Tree:
        """The tree with a folder, and with whatever is missing above it."""
        if any(folder.path == action.path for folder in tree.folders):
            return tree
        if action.path and not tree.folders:
            raise Refused("Permission denied", Reason.FORBIDDEN)
        if action.special_use and len(action.path) != 1:
            raise Refused("SPECIAL-USE flag conflict", Reason.TAKEN)
        if action.partition and action.partition not in self._partitions:
            raise Refused("Unknown/invalid partition")
        if len(action.path) > 1:
            tree = self._created(tree, user, CreateMailbox(action.path[:-1]))
        acl = _find(tree, action.path[:-1]).acl if action.path else ((user, OWNER_RIGHTS),)
        folder = Folder(action.path, action.special_use, acl=acl, partition=action.partition)
        return replace(tree, folders=(*tree.folders, folder))


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
