"""A mail store that lives in memory. The contract tests keep it like the real one."""

import threading
from collections.abc import Callable
from dataclasses import replace

from autocreate.errors import AutocreateError, Temporary
from autocreate.model import (
    ALL_SHARED,
    Action,
    CreateMailbox,
    Failure,
    Folder,
    Plan,
    Report,
    SetAcl,
    SetQuota,
    SetSpecialUse,
    Subscribe,
    SubscribeShared,
    Tree,
)

# What a folder's owner may do with it in a new Cyrus mailbox.
OWNER_RIGHTS = "lrswipkxtecdan"


class Memory:
    """Trees by user.

    Set `failure` to have every call fail with it, as a server does that is down.
    """

    def __init__(self, shared: frozenset[str] = frozenset()) -> None:
        self.trees: dict[str, Tree] = {}
        self.shared = shared
        self.failure: AutocreateError | None = None
        self._lock = threading.Lock()

    def exists(self, user: str) -> bool:
        """Does INBOX stand? See `MailStore.exists`."""
        if self.failure:
            raise self.failure
        return user in self.trees

    def observe(self, user: str, wanted: Tree) -> Tree:
        """What stands of `wanted`. See `MailStore.observe`."""
        if self.failure:
            raise self.failure
        standing = self.trees.get(user, Tree())
        paths = {folder.path for folder in wanted.folders}
        return Tree(
            tuple(folder for folder in standing.folders if folder.path in paths),
            standing.quota,
            tuple(name for name in standing.shared if name in wanted.shared),
        )

    def apply(self, plan: Plan) -> Report:
        """Carry out a plan. See `MailStore.apply`."""
        if self.failure:
            error = str(self.failure)
            return Report(plan, tuple(Failure(action, error) for action in plan.actions))
        skipped = []
        with self._lock:
            for action in plan.actions:
                if isinstance(action, SubscribeShared) and action.name not in (
                    ALL_SHARED,
                    *self.shared,
                ):
                    skipped.append(Failure(action, "Mailbox does not exist"))
                    continue
                tree = self.trees.get(plan.user, Tree())
                self.trees[plan.user] = _changed(tree, plan.user, action)
        return Report(plan, skipped=tuple(skipped))

    def close(self) -> None:
        """Nothing to let go of, but a closed store is not used again."""
        self.failure = Temporary("the store is closed")


def _changed(tree: Tree, user: str, action: Action) -> Tree:
    match action:
        case CreateMailbox(path, special_use, partition):
            if any(folder.path == path for folder in tree.folders):
                return tree
            acl = ((user, OWNER_RIGHTS),)
            folder = Folder(path, special_use, acl=acl, partition=partition)
            return replace(tree, folders=(*tree.folders, folder))
        case SetQuota(quota):
            return replace(tree, quota=quota)
        case SetAcl(path, identifier, rights):
            return _with(tree, path, lambda folder: _granted(folder, identifier, rights))
        case SetSpecialUse(path, special_use):
            return _with(tree, path, lambda folder: replace(folder, special_use=special_use))
        case Subscribe(path):
            return _with(tree, path, lambda folder: replace(folder, subscribe=True))
        case SubscribeShared(name):
            return replace(tree, shared=(*tree.shared, name))


def _with(tree: Tree, path: tuple[str, ...], change: Callable[[Folder], Folder]) -> Tree:
    return replace(
        tree,
        folders=tuple(change(folder) if folder.path == path else folder for folder in tree.folders),
    )


def _granted(folder: Folder, identifier: str, rights: str) -> Folder:
    others = tuple(entry for entry in folder.acl if entry[0] != identifier)
    return replace(folder, acl=(*others, (identifier, rights)))
