"""What every action on a mailbox tree tells about itself: see `autocreate.tree.actions` for the kinds."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from autocreate.errors import Reason
from autocreate.tree.values import Path, Tree


class Lane(Enum):
    """Who carries out an action. A mail store may work in all lanes at once; a plan lists them in this order."""

    ADMINISTRATOR = 1  # a session of the administrator's
    SCRIPTS = 2  # the script store; before the user's, since waiting mail needs the script
    USER = 3  # a session in the user's own name


@dataclass(frozen=True, slots=True)
class Action(ABC):
    """Something to add to a user's tree."""

    lane: ClassVar[Lane] = Lane.ADMINISTRATOR
    final_reasons: ClassVar[frozenset[Reason]] = frozenset({Reason.IMPOSSIBLE})
    """The refusals after which another attempt is of no use."""
    adds: ClassVar[bool] = False
    """It makes something of its own, such as a folder; else it changes something, such as a folder's rights."""
    is_optional: ClassVar[bool] = False
    """Only for users who can have it: to skip it is no fault of the tree's."""

    @classmethod
    @abstractmethod
    def missing(cls, wanted: Tree, observed: Tree) -> "Iterator[Action]":
        """The actions of this kind that `observed` needs to have what `wanted` has. None takes anything away."""

    @property
    @abstractmethod
    def description(self) -> str:
        """One line of text: what is done, as in "create Sent"."""

    @abstractmethod
    def as_json(self) -> dict[str, Any]:
        """Plain data for json.dumps, the kind of action first."""

    @property
    def folder(self) -> Path | None:
        """The folder that it needs, and changes; None if it needs no more than INBOX."""
        return None

    @property
    def is_essential(self) -> bool:
        """Is no mail accepted without it?"""
        return False

    @property
    def user_removable(self) -> str:
        """What it gives a user that the user may remove for good, as the journal names it; "" for nothing."""
        return ""

    @property
    def user_removed_as(self) -> frozenset[str]:
        """All names under which the journal may know what it gives."""
        return frozenset({self.user_removable})

    def is_final(self, reason: Reason) -> bool:
        """Is another attempt of no use after a refusal for this reason?"""
        return reason in self.final_reasons
