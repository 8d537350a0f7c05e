"""Mail stores: where mailboxes stand. Cyrus over IMAP, and one in memory for tests and the like."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from autocreate.core.plan import describe
from autocreate.errors import Reason, Refused
from autocreate.model import (
    Action,
    ApplyResult,
    CreateMailbox,
    Failure,
    InstallScript,
    Plan,
    Script,
    SetSpecialUse,
    SubscribeShared,
    Tree,
    Version,
)


class MailStore(Protocol):
    """The only way to mailboxes. It creates and looks; there is no delete in it.

    Stores are called from several threads at once.
    """

    def exists(self, user: str) -> bool:
        """Does the user's INBOX stand? One command, whose cost does not grow with the server.

        Raises:
            Temporary: the store did not say.
            Refused: no mailbox here can belong to a user of that name.
        """

    def observe(self, user: str, wanted: Tree) -> Tree:
        """As much of `wanted` as stands for `user`, as it stands.

        Only folders named in `wanted` are looked at, since listing would cost as much as the
        server has mailboxes. A folder that can never exist does not.

        Raises:
            Temporary, Refused: as for `exists`.
        """

    def apply(self, plan: Plan) -> ApplyResult:
        """Carry out a plan. What stands already counts as done; limits that it does not name stay.

        Errors end up in the report, each with its action; nothing is raised for them. What can
        never succeed is skipped, with all that depends on it. Once an essential action has failed,
        the rest is not tried and counts as failed.
        """

    def version(self) -> Version:
        """Of the server, which is asked for it. What some options of imapd.conf mean hangs on it.

        Raises:
            Temporary: the store did not say.
        """

    def check(self, script: Script) -> tuple[str, ...]:
        """See `ScriptStore.check`. A store that keeps no scripts has nothing to say."""

    def users(self) -> Iterator[str]:
        """Every user who has an INBOX, in no particular order, and as they come in.

        For surveys only: it costs as much as the server has mailboxes.

        Raises:
            Temporary: the store did not say, or not to the end.
        """

    def snapshot(self) -> dict[str, int]:
        """How many connections are `busy`, `idle`, and may be open (`size`)."""

    def close(self) -> None:
        """End every connection. The store is not used afterwards."""


def is_final(action: Action, reason: Reason) -> bool:
    """Is it no use to try a refused action again?

    What can never be is skipped; but without INBOX no mail is accepted, so that is tried for ever. A
    shared folder that does not exist, or not for this user, is no fault of the tree's. A special use
    that the user has given to another folder is the user's to give, and a script of the user's own is
    not ours to replace.
    """
    match reason:
        case Reason.IMPOSSIBLE:
            return not (isinstance(action, CreateMailbox) and not action.path)
        case Reason.TAKEN:
            return isinstance(action, CreateMailbox | SetSpecialUse | InstallScript)
        case Reason.MISSING | Reason.FORBIDDEN:
            return isinstance(action, SubscribeShared)
        case _:
            return False


class Outcome:
    """What goes wrong in a part of a plan. `failed` is worth another attempt, `skipped` is not.

    Args:
        earlier: of the parts on whose folders this one depends.
    """

    def __init__(self, earlier: "Outcome | None" = None) -> None:
        self.failed: list[Failure] = []
        self.skipped: list[Failure] = []
        self._earlier = earlier

    def refused(self, action: Action, refusal: Refused) -> None:
        """The store said no to an action."""
        failures = self.skipped if is_final(action, refusal.reason) else self.failed
        failures.append(Failure(action, str(refusal)))

    def is_lost(self, action: Action) -> bool:
        """Was its folder, or one above, skipped? Then so is the action, for the same reason."""
        path = getattr(action, "path", ())
        earlier = self._earlier.skipped if self._earlier else ()
        for folder, error in (*earlier, *self.skipped):
            if isinstance(folder, CreateMailbox) and path[: len(folder.path)] == folder.path:
                self.skipped.append(Failure(action, error))
                return True
        return False

    def add(self, other: "Outcome") -> None:
        """And what goes wrong in another part."""
        self.failed += other.failed
        self.skipped += other.skipped

    def of(self, plan: Plan) -> ApplyResult:
        """The report about the whole plan."""
        return ApplyResult(plan, tuple(self.failed), tuple(self.skipped))


def not_tried(actions: Iterable[Action], failed: Action) -> list[Failure]:
    """What is left of a plan when `failed`, without which the rest is of no use, has failed."""
    return [Failure(action, f"not tried: {describe(failed)} failed") for action in actions]


class ScriptStore(Protocol):
    """Where the Sieve scripts of a mail store's users are kept: a part of it.

    Raises, from every method:
        Temporary: the store cannot be asked now.
        Refused: it said no; whether for good, says its reason.
    """

    def active(self, user: str) -> Script | None:
        """The script that filters the user's mail, of which only the name is known."""

    def install(self, user: str, script: Script) -> None:
        """Put a script and make it the active one. A user who has an active one keeps it.

        Raises:
            Refused: it does not compile (`IMPOSSIBLE`); or the user has another script of that
                name, which is never replaced (`TAKEN`); or anything else that the server says.
        """

    def check(self, script: Script) -> tuple[str, ...]:
        """Does the script compile? Returns what besides an administrator should know about it.

        Raises:
            Refused: it does not. Every error is told with its line.
        """

    def close(self) -> None:
        """Let go of everything. The store is not used afterwards."""
