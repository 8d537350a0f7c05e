"""Annotations of folders (METADATA, RFC 5464): the shared ones, and the user's own."""

from abc import ABC
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from autocreate.errors import Reason
from autocreate.tree.base import Action, Lane
from autocreate.tree.values import Path, Tree, folder_name

SHARED = "/shared/"
PRIVATE = "/private/"


@dataclass(frozen=True, slots=True)
class SetAnnotation(Action, ABC):
    """Give an entry a value.

    No mail waits for an annotation, so every NO of the server is final: the rest of the tree must not be
    tried again and again for an entry that this Cyrus does not know. An audit still reports it.
    """

    path: Path
    entry: str
    value: str

    final_reasons = frozenset(Reason)
    prefix: ClassVar[str]

    @classmethod
    def missing(cls, wanted: Tree, observed: Tree) -> Iterator[Self]:
        existing = {folder.path: dict(folder.annotations) for folder in observed.folders}
        for folder in wanted.folders:
            present = existing.get(folder.path, {})
            for entry, value in folder.annotations:
                if entry.startswith(cls.prefix) and cls._differs(present.get(entry), value):
                    yield cls(folder.path, entry, value)

    @staticmethod
    def _differs(present: str | None, value: str) -> bool:
        return present != value

    @property
    def description(self) -> str:
        return f"annotate {folder_name(self.path)} with {self.entry} {self.value!r}"

    def as_json(self) -> dict[str, Any]:
        return {
            "action": "annotation",
            "folder": folder_name(self.path),
            "entry": self.entry,
            "value": self.value,
        }

    @property
    def folder(self) -> Path:
        return self.path


class SetSharedAnnotation(SetAnnotation):
    """The administrator's: its value is that of the policy."""

    __slots__ = ()
    prefix = SHARED


class SetPrivateAnnotation(SetAnnotation):
    """The user's own: a user who has another value keeps it, and may remove it for good."""

    __slots__ = ()
    prefix = PRIVATE
    lane = Lane.USER

    @staticmethod
    def _differs(present: str | None, value: str) -> bool:
        return present is None

    @property
    def user_removable(self) -> str:
        return f"annotation {folder_name(self.path)} {self.entry}"
