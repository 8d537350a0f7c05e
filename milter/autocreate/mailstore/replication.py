"""What an administrator can look at, and do, for a user by Cyrus's replication commands (imap/sync_support.c).

SYNCGET tells of mailboxes, subscriptions and scripts what else the user's own session would have to ask; SYNCAPPLY
subscribes a user. The server makes no checks: it says OK to a mailbox that does not exist, or is not there for this
user. So a mailbox is looked at first, and what is not certain is left to the user's own session.
"""

import contextlib
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from autocreate.core.naming import Mailboxes
from autocreate.errors import Reason, Refused
from autocreate.mailstore import dlist
from autocreate.mailstore.connection import Answer, Connection, Question, stored_name, text_of
from autocreate.mailstore.imap import Session, acl_of, limits_of
from autocreate.tree.actions import Subscribe, SubscribeShared
from autocreate.tree.base import Action
from autocreate.tree.values import ALL_SHARED, Folder, Path, Quota, Script, Tree

Acl = tuple[tuple[str, str], ...]


class NotTaken(Refused):
    """The server offers these commands, and does not take them from this administrator: nothing will change that."""


def is_offered(session: Connection) -> bool:
    """Does the server take these commands, and do they mean the mailboxes that it shows?

    The servers of a Murder do not: SYNCAPPLY works on what is kept on the very server, and says OK all the same.
    """
    return _is_among(session.offers())


@functools.lru_cache(100)
def _is_among(capabilities: frozenset[bytes]) -> bool:
    return {b"X-REPLICATION", b"LITERAL+"} <= capabilities and not any(
        capability.startswith(b"MUPDATE=") for capability in capabilities
    )


def tells_subscriptions(wanted: Tree, *, meta: bool) -> bool:
    """Is what `Replication.observe` tells of a tree's subscriptions all there is to tell?"""
    if ALL_SHARED in wanted.shared:
        return False
    return meta or not (wanted.shared or any(folder.subscribe for folder in wanted.folders))


def is_subscription(action: Action) -> bool:
    """Is it one that the administrator may be able to make?"""
    return isinstance(action, Subscribe) or (
        isinstance(action, SubscribeShared) and action.name != ALL_SHARED
    )


def is_seen_by(user: str, acl: Acl) -> bool:
    """May the user certainly look a mailbox up? Not if that depends on groups, or on what somebody is denied."""
    if any(identifier.startswith("-") for identifier, _ in acl):
        return False
    return any("l" in rights for identifier, rights in acl if identifier in ("anyone", user))


class Mailbox(NamedTuple):
    """What SYNCGET tells of a mailbox.

    Args:
        acl: (identifier, rights) pairs.
        quota_root: the stored name of the mailbox whose limits count, or None.
        special_use: its owner's.
    """

    acl: Acl
    quota_root: bytes | None
    special_use: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What SYNCGET tells of a user. Mailboxes by their stored names.

    Args:
        mailboxes: those that were asked for and exist.
        scripts: are they active, by name.
    """

    mailboxes: Mapping[bytes, Mailbox] = field(default_factory=dict)
    subscribed: frozenset[bytes] = frozenset()
    scripts: Mapping[str, bool] = field(default_factory=dict)

    @property
    def active_script(self) -> Script | None:
        return next((Script(name) for name, is_active in self.scripts.items() if is_active), None)


class Replication(NamedTuple):
    """The administrator, at work on what belongs to one user.

    Raises, from every method:
        Unreachable: as `Connection`.
        Refused: the server does not take these commands now; or the names are impossible.

    Args:
        names: the administrator's names of mailboxes.
        owners: the user's; None where nothing is to be subscribed to.
    """

    session: Session
    names: Mailboxes
    user: str
    owners: Mailboxes | None = None

    def observe(self, wanted: Tree, *, meta: bool) -> Tree:
        """What is seen of a tree; of its subscriptions only if `tells_subscriptions`.

        A folder that is missing in it may also be one that Cyrus could not open.

        Args:
            meta: look at subscriptions and scripts, too. Cyrus makes a database of 92 KiB for the user's scripts by
                that: not for users who get none.
        """
        names = {folder.path: self._own(folder.path) for folder in wanted.folders}
        known = [*filter(None, names.values())]
        questions = [syncget("META", self.user)] if meta else []
        questions += [_mailboxes(known)] if known else []
        # Not SYNCGET QUOTA: from Cyrus 3.10 on it tells some limits twice, by their old names as well.
        limits, *answers = self.session.ask(limits_of(self.names.of_user(self.user)), *questions)
        seen = self.read(answers)
        folders = (self._folder(path, name, seen) for path, name in names.items() if name)
        return Tree(
            tuple(filter(None, folders)),
            self.session.limits(limits) if self._is_quota_root(seen) else Quota(),
            tuple(name for name in wanted.shared if self._shared(name) in seen.subscribed),
            seen.active_script,
        )

    def look(self, actions: Iterable[Action]) -> list[Question]:
        """What to ask about the mailboxes that actions subscribe to, for `subscribe`.

        By GETACL, since SYNCGET waits for whoever works for the user, and writes a file for each mailbox.
        """
        return [acl_of(name.administrators) for name in self._subscriptions(actions).values()]

    def subscribe(self, actions: Iterable[Action], looked: Iterable[Answer]) -> frozenset[Action]:
        """Subscribe to what the user certainly sees, and return what was done.

        Args:
            looked: the answers to `look`.
        """
        looks = zip(self._subscriptions(actions).items(), looked, strict=True)
        certain = {action: name.stored for (action, name), answer in looks if self._is_seen(answer)}
        answers = self.session.ask(*map(self._subscribing, certain.values()))
        pairs = zip(certain, map(_is_done, answers), strict=True)
        return frozenset(action for action, is_done in pairs if is_done)

    def read(self, answers: Iterable[Answer]) -> Seen:
        """What answers to SYNCGET tell."""
        told: dict[str, list[Any]] = {"MAILBOX": [], "LSUB": [], "SIEVE": []}
        for answer in answers:
            if not _is_done(answer):
                answer.require()
            with self.session.exchange("SYNCGET"):
                for kind in told:
                    told[kind] += dlist.read(answer.untagged.get(kind, ()))
        with self.session.exchange("SYNCGET"):
            return Seen(
                {it[b"MBOXNAME"]: _mailbox(it, self.user) for it in told["MAILBOX"]},
                frozenset(name for names in told["LSUB"] for name in names),
                dict(map(_script, told["SIEVE"])),
            )

    def _folder(self, path: Path, name: bytes, seen: Seen) -> Folder | None:
        mailbox = seen.mailboxes.get(name)
        if mailbox is None:
            return None
        special_use = mailbox.special_use if path else None
        return Folder(path, special_use, name in seen.subscribed, mailbox.acl)

    def _is_quota_root(self, seen: Seen) -> bool:
        """Do the limits of INBOX's own quota root count for it?"""
        name = self._own(())
        inbox = seen.mailboxes.get(name) if name else None
        return inbox is not None and inbox.quota_root == name

    def _subscriptions(self, actions: Iterable[Action]) -> dict[Action, "_Name"]:
        """What actions subscribe to, as far as it has names, and one that the user can know it by."""
        named = {}
        for action in actions:
            with contextlib.suppress(Refused):
                if name := self._subscription(action):
                    named[action] = name
        return named

    def _subscription(self, action: Action) -> "_Name | None":
        names = self.names
        if isinstance(action, Subscribe) and self.owners:
            self.owners.as_user(action.path)
            stored = names.stored(self.user, action.path)
            return _Name(names.of_user(self.user, action.path), stored_name(stored))
        if isinstance(action, SubscribeShared) and action.name != ALL_SHARED:
            stored = names.shared_stored(self.user, action.name)
            return _Name(names.of_shared(self.user, action.name), stored_name(stored))
        return None

    def _is_seen(self, looked: Answer) -> bool:
        """May the user certainly look the mailbox up, by the answer to GETACL?"""
        try:
            return is_seen_by(self.user, self.session.rights(looked) or ())
        except Refused:
            return False

    def _own(self, path: Path) -> bytes | None:
        try:
            return stored_name(self.names.stored(self.user, path))
        except Refused:
            return None

    def _shared(self, name: str) -> bytes | None:
        try:
            return stored_name(self.names.shared_stored(self.user, name))
        except Refused:
            return None

    def _subscribing(self, name: bytes) -> Question:
        values = dlist.written({"USERID": self.user, "MBOXNAME": name})
        return Question("SYNCAPPLY", (b"SUB", values))


class _Name(NamedTuple):
    """A mailbox's, as the administrator writes it and as Cyrus stores it."""

    administrators: str
    stored: bytes


def syncget(what: str, word: dlist.Word) -> Question:
    """Ask Cyrus for what a replica would be told (imap/sync_support.c)."""
    return Question("SYNCGET", (what.encode("ascii"), dlist.written_word(word)))


def _mailboxes(names: Sequence[bytes]) -> Question:
    return Question("SYNCGET", (b"MAILBOXES", dlist.written(names)))


def _is_done(answer: Answer) -> bool:
    """Did the server do it?

    Raises:
        NotTaken: it never will.
    """
    if answer.refusal and (answer.is_bad or answer.refusal.reason is Reason.FORBIDDEN):
        raise NotTaken(str(answer.refusal), answer.refusal.reason)
    return answer.refusal is None


def _mailbox(told: Any, user: str) -> Mailbox:
    words = text_of(told[b"ACL"]).split("\t")
    uses = (
        text_of(annotation[b"VALUE"])
        for annotation in told.get(b"ANNOTATIONS", ())
        if (annotation[b"ENTRY"], text_of(annotation[b"USERID"])) == (b"/specialuse", user)
    )
    return Mailbox(
        tuple(zip(words[:-1:2], words[1::2], strict=False)),
        told.get(b"QUOTAROOT"),
        next(filter(None, uses), None),
    )


def _script(told: Any) -> tuple[str, bool]:
    name, _, _suffix = text_of(told[b"FILENAME"]).rpartition(".")
    return name, told[b"ISACTIVE"] == b"1"
