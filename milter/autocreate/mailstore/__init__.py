"""Mail stores: where mailboxes stand. Cyrus over IMAP, and one in memory for tests and the like."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from autocreate.core.plan import describe
from autocreate.model import (
    Action,
    Failure,
    InstallScript,
    Plan,
    Report,
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
        server has mailboxes.

        Raises:
            Temporary, Refused: as for `exists`.
        """

    def apply(self, plan: Plan) -> Report:
        """Carry out a plan. What stands already counts as done; limits that it does not name stay.

        Errors end up in the report, each with its action; nothing is raised for them. Once an
        essential action has failed, the rest is not tried and counts as failed.
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


def is_hopeless(action: Action, refusal: str) -> bool:
    """Is a refused action nothing to come back for?

    A shared folder that is not there, or not for this user, is no fault of the tree's; and a
    special use that the user has given to another folder is the user's to give. A script that is
    wrong stays wrong until somebody mends it, and one of the user's own is not ours to replace.
    """
    is_taken = isinstance(action, SetSpecialUse) and "SPECIAL-USE flag conflict" in refusal
    return is_taken or isinstance(action, SubscribeShared | InstallScript)


def not_tried(actions: Iterable[Action], failed: Action) -> list[Failure]:
    """What is left of a plan when `failed`, without which the rest is of no use, has failed."""
    return [Failure(action, f"not tried: {describe(failed)} failed") for action in actions]


class ScriptStore(Protocol):
    """Where the Sieve scripts of a mail store's users are kept: a part of it.

    Raises, from every method:
        Temporary: the store cannot be asked now.
        Refused: it said no, and would say so again.
    """

    def active(self, user: str) -> Script | None:
        """The script that filters the user's mail, of which only the name is known."""

    def install(self, user: str, script: Script) -> None:
        """Put a script and make it the active one. A user who has an active one keeps it.

        Raises:
            Refused: it does not compile; or the user has another script of that name, which is
                never replaced.
        """

    def check(self, script: Script) -> tuple[str, ...]:
        """Does the script compile? Returns what besides an administrator should know about it.

        Raises:
            Refused: it does not. Every error is told with its line.
        """

    def close(self) -> None:
        """Let go of everything. The store is not used afterwards."""
