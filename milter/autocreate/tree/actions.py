"""What can be added to a mailbox tree, a class for each kind. There is no delete: this program cannot destroy mail.

A class knows all about its kind; `autocreate.tree.base` says what that is. A new kind is a class here, with its line
in `KINDS`, and a line in each mail store that says how it is done: mailstore/cyrus_tree.py, mailstore/memory.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from autocreate.errors import Reason
from autocreate.tree.annotations import SetPrivateAnnotation, SetSharedAnnotation
from autocreate.tree.base import Action, Lane
from autocreate.tree.values import (
    ALL_SHARED,
    UNLIMITED,
    Folder,
    Path,
    Quota,
    Script,
    Tree,
    Welcome,
    folder_name,
)

# The rights that RFC 4314 (section 2.1.1) has divided into others. Cyrus shows one beside each part of
# it, and grants all of its parts.
_OBSOLETE = frozenset("cd")


@dataclass(frozen=True, slots=True)
class CreateMailbox(Action):
    path: Path
    special_use: str | None = None
    partition: str | None = None
    alternatives: tuple[Path, ...] = ()
    """What it would be called in other languages."""
    server: str | None = None
    """Of a Murder: the backend. None: the frontend chooses one, or there is only one server."""
    why: str = ""
    """Why there."""

    adds = True
    # Taken: the user has given the special use to another folder.
    final_reasons = frozenset({Reason.IMPOSSIBLE, Reason.TAKEN})

    @classmethod
    def missing(cls, wanted: Tree, observed: Tree) -> Iterator[Action]:
        for folder, existing in _pairs(wanted, observed):
            if existing is None:
                yield cls(
                    folder.path,
                    folder.special_use,
                    folder.partition,
                    folder.alternatives,
                    folder.server,
                )

    @property
    def description(self) -> str:
        flag = f" as {self.special_use}" if self.special_use else ""
        place = f" on partition {self.partition}" if self.partition else ""
        where = f" at {self.server or 'a backend'} ({self.why})" if self.why else ""
        return f"create {folder_name(self.path)}{flag}{place}{where}"

    def as_json(self) -> dict[str, Any]:
        return {
            "action": "create",
            "folder": folder_name(self.path),
            "special_use": self.special_use,
            "partition": self.partition,
            **({"server": self.server, "why": self.why} if self.why else {}),
        }

    @property
    def folder(self) -> Path:
        return self.path

    @property
    def is_essential(self) -> bool:
        return not self.path

    @property
    def user_removable(self) -> str:
        return f"folder {folder_name(self.path)}" if self.path else ""  # mail needs INBOX

    @property
    def user_removed_as(self) -> frozenset[str]:
        # Who has removed Sent does not want Gesendet either.
        names = (f"folder {folder_name(path)}" for path in self.alternatives)
        return frozenset({self.user_removable, *names})

    def is_final(self, reason: Reason) -> bool:
        # Without INBOX no mail is accepted, so that is tried for ever.
        return bool(self.path) and reason in self.final_reasons


@dataclass(frozen=True, slots=True)
class SetQuota(Action):
    quota: Quota

    @classmethod
    def missing(cls, wanted: Tree, observed: Tree) -> Iterator[Action]:
        has_inbox = any(folder.path == () for folder in wanted.folders)
        if has_inbox and observed.quota.lacks(wanted.quota):
            yield cls(wanted.quota)

    @property
    def description(self) -> str:
        return f"set quota {self.quota.description}"

    def as_json(self) -> dict[str, Any]:
        return {
            "action": "quota",
            "storage_kib": _as_written(self.quota.storage),
            "messages": _as_written(self.quota.messages),
        }

    @property
    def folder(self) -> Path:
        return ()

    @property
    def is_essential(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class SetAcl(Action):
    path: Path
    identifier: str
    rights: str

    @classmethod
    def missing(cls, wanted: Tree, observed: Tree) -> Iterator[Action]:
        for folder, existing in _pairs(wanted, observed):
            present = dict(existing.acl) if existing else {}
            for identifier, rights in folder.acl:
                if _exact(rights) != set(present.get(identifier, "")) - _OBSOLETE:
                    yield cls(folder.path, identifier, rights)

    @property
    def description(self) -> str:
        return f"grant {self.identifier} {self.rights or 'nothing'} on {folder_name(self.path)}"

    def as_json(self) -> dict[str, Any]:
        return {
            "action": "acl",
            "folder": folder_name(self.path),
            "identifier": self.identifier,
            "rights": self.rights,
        }

    @property
    def folder(self) -> Path:
        return self.path


@dataclass(frozen=True, slots=True)
class InstallScript(Action):
    script: Script

    lane = Lane.SCRIPTS
    adds = True
    # Taken: the user has a script of that name, which is not ours to replace.
    final_reasons = frozenset({Reason.IMPOSSIBLE, Reason.TAKEN})

    @classmethod
    def missing(cls, wanted: Tree, observed: Tree) -> Iterator[Action]:
        if wanted.script and not observed.script:
            yield cls(wanted.script)

    @property
    def description(self) -> str:
        return f"install the sieve script {self.script.name}"

    def as_json(self) -> dict[str, Any]:
        return {"action": "sieve", "script": self.script.name}

    @property
    def user_removable(self) -> str:
        return "sieve script"


@dataclass(frozen=True, slots=True)
class DeliverWelcome(Action):
    """First in its lane: whoever waits for the verdict has mail that must come behind it."""

    welcome: Welcome

    lane = Lane.USER
    adds = True

    @classmethod
    def missing(cls, wanted: Tree, observed: Tree) -> Iterator[Action]:
        if wanted.welcome and not observed.welcome:
            yield cls(wanted.welcome)

    @property
    def description(self) -> str:
        return f"deliver the welcome message {self.welcome.source}"

    def as_json(self) -> dict[str, Any]:
        return {"action": "welcome", "message": self.welcome.source}

    @property
    def folder(self) -> Path:
        return ()


@dataclass(frozen=True, slots=True)
class SetSpecialUse(Action):
    """For a folder that exists; a new one gets its special use when it is created."""

    path: Path
    special_use: str

    lane = Lane.USER
    # Taken: the user has given it to another folder, and may.
    final_reasons = frozenset({Reason.IMPOSSIBLE, Reason.TAKEN})

    @classmethod
    def missing(cls, wanted: Tree, observed: Tree) -> Iterator[Action]:
        for folder, existing in _pairs(wanted, observed):
            if existing and folder.special_use and not existing.special_use:
                yield cls(folder.path, folder.special_use)

    @property
    def description(self) -> str:
        return f"mark {folder_name(self.path)} as {self.special_use}"

    def as_json(self) -> dict[str, Any]:
        return {
            "action": "special_use",
            "folder": folder_name(self.path),
            "special_use": self.special_use,
        }

    @property
    def folder(self) -> Path:
        return self.path


@dataclass(frozen=True, slots=True)
class Subscribe(Action):
    path: Path

    lane = Lane.USER
    adds = True

    @classmethod
    def missing(cls, wanted: Tree, observed: Tree) -> Iterator[Action]:
        for folder, existing in _pairs(wanted, observed):
            if folder.subscribe and not (existing and existing.subscribe):
                yield cls(folder.path)

    @property
    def description(self) -> str:
        return f"subscribe to {folder_name(self.path)}"

    def as_json(self) -> dict[str, Any]:
        return {"action": "subscribe", "folder": folder_name(self.path)}

    @property
    def folder(self) -> Path:
        return self.path

    @property
    def user_removable(self) -> str:
        return f"subscription {folder_name(self.path)}"


@dataclass(frozen=True, slots=True)
class SubscribeShared(Action):
    name: str

    lane = Lane.USER
    adds = True
    # A shared folder that does not exist, or not for this user.
    final_reasons = frozenset({Reason.IMPOSSIBLE, Reason.MISSING, Reason.FORBIDDEN})
    is_optional = True

    @classmethod
    def missing(cls, wanted: Tree, observed: Tree) -> Iterator[Action]:
        yield from (cls(name) for name in wanted.shared if name not in observed.shared)

    @property
    def description(self) -> str:
        what = "all shared folders" if self.name == ALL_SHARED else f"shared folder {self.name}"
        return f"subscribe to {what}"

    def as_json(self) -> dict[str, Any]:
        return {"action": "subscribe_shared", "folder": self.name}

    @property
    def user_removable(self) -> str:
        return f"subscription to shared {self.name}"


KINDS: tuple[type[Action], ...] = (
    CreateMailbox,
    SetQuota,
    SetAcl,
    SetSharedAnnotation,
    InstallScript,
    DeliverWelcome,
    SetSpecialUse,
    SetPrivateAnnotation,
    Subscribe,
    SubscribeShared,
)
"""Every kind, in the order in which those of one folder are done."""


def _pairs(wanted: Tree, observed: Tree) -> Iterator[tuple[Folder, Folder | None]]:
    """Each wanted folder, and the existing one with its path."""
    existing = {folder.path: folder for folder in observed.folders}
    return ((folder, existing.get(folder.path)) for folder in wanted.folders)


def _exact(rights: str) -> set[str]:
    return set(rights.replace("c", "kx").replace("d", "te"))


def _as_written(limit: int | None) -> int | None:
    """A limit as policies have it: 0 is none."""
    return 0 if limit == UNLIMITED else limit
