"""Mail stores: Cyrus over IMAP, and one in memory for tests."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Protocol

from autocreate.errors import AutocreateError, Refused
from autocreate.model import Version
from autocreate.tree.actions import CreateMailbox
from autocreate.tree.base import Action
from autocreate.tree.plan import ApplyResult, Failure, Plan
from autocreate.tree.values import Script, Tree


class MailStore(Protocol):
    """The only way to mailboxes. It creates and looks; there is no delete in it.

    Stores are called from several threads at once.
    """

    def exists(self, user: str) -> bool:
        """Does the user's INBOX exist? One command, whose cost does not grow with the server.

        Raises:
            Temporary: the store did not say.
            Refused: no mailbox here can belong to a user of that name.
        """

    def confirm_missing(self, user: str) -> None:
        """After a no of `exists`: may it be told to a sender? A creation needs no such confirmation.

        Raises:
            Temporary: the store cannot tell for every server that may have the mailbox.
        """

    def where(self, user: str) -> str:
        """At which server the user's INBOX is, in words; "" where there is only one.

        Raises:
            Temporary: the store did not say.
        """

    def placed(self, plan: Plan) -> Plan:
        """The plan, with the server where it creates INBOX, and why there. Changes nothing.

        Raises:
            Temporary: no server can be chosen now.
        """

    def observe(self, user: str, wanted: Tree) -> Tree:
        """What exists of `wanted` for `user`, as it is.

        Only folders named in `wanted` are looked at, since listing would cost as much as the
        server has mailboxes. A folder that can never exist is left out.

        Raises:
            Temporary, Refused: as for `exists`.
        """

    def apply(self, plan: Plan) -> ApplyResult:
        """Carry out a plan. What already exists counts as done; limits that it does not name stay.

        Errors end up in the report, each with its action; nothing is raised for them. What can
        never succeed is skipped, with all that depends on it. Once an essential action has failed,
        the rest is not tried and counts as failed.
        """

    def version(self) -> Version:
        """Of the server, which is asked for it. The meaning of some options of imapd.conf depends on it.

        Raises:
            Temporary: the store did not say.
        """

    def check(self, script: Script) -> tuple[str, ...]:
        """See `ScriptStore.check`. Returns nothing if the store keeps no scripts."""

    def users(self) -> Iterator[str]:
        """Every user who has an INBOX, in no particular order, and as they come in.

        For surveys only: it costs as much as the server has mailboxes.

        Raises:
            Temporary: the store did not say, or not to the end.
        """

    def snapshot(self) -> dict[str, Any]:
        """How many connections are `busy`, `idle`, and may be open (`size`); `state`: see `Health`.

        A Murder also tells of its other servers, below `murder`.
        """

    def close(self) -> None:
        """End every connection. The store is not used afterwards."""


class Outcome:
    """What goes wrong in a part of a plan. `failed` is worth another attempt, `skipped` is not.

    Args:
        earlier: of the parts on whose folders this one depends.
    """

    def __init__(self, earlier: "Outcome | None" = None) -> None:
        self.failed: list[Failure] = []
        self.skipped: list[Failure] = []
        self._earlier = earlier

    @classmethod
    def broken_off(cls, actions: Iterable[Action], error: AutocreateError) -> "Outcome":
        """Of a part that broke off as a whole: all of its actions failed for one reason."""
        outcome = cls()
        outcome.failed += [Failure(action, str(error)) for action in actions]
        return outcome

    def attempt(self, actions: Iterable[Action], carry_out: Callable[[Action], None]) -> None:
        """Carry out actions one by one. A refusal stops them only if an essential one failed.

        Args:
            carry_out: raises Refused where the store says no. What else it raises ends the attempt.
        """
        remaining = iter(actions)
        for action in remaining:
            if loss := self.loss(action):
                self.skipped.append(loss)
                continue
            try:
                carry_out(action)
            except Refused as refusal:
                is_final = action.is_final(refusal.reason)
                (self.skipped if is_final else self.failed).append(Failure(action, str(refusal)))
                if action.is_essential and not is_final:
                    self.not_tried(remaining, action)

    def not_tried(self, actions: Iterable[Action], failed: Action) -> None:
        """Without `failed` the rest of a plan is of no use."""
        error = f"not tried: {failed.description} failed"
        self.failed += [Failure(action, error) for action in actions]

    def add(self, other: "Outcome") -> None:
        """And what goes wrong in another part."""
        self.failed += other.failed
        self.skipped += other.skipped

    def of(self, plan: Plan) -> ApplyResult:
        """The report about the whole plan."""
        return ApplyResult(plan, tuple(self.failed), tuple(self.skipped))

    def loss(self, action: Action) -> Failure | None:
        """Was its folder, or one above, skipped? Then so is the action, for the same reason."""
        path = action.folder or ()
        earlier = self._earlier.skipped if self._earlier else ()
        for skipped, error in (*earlier, *self.skipped):
            if isinstance(skipped, CreateMailbox) and path[: len(skipped.path)] == skipped.path:
                return Failure(action, error)
        return None


class Delivery(Protocol):
    """Another way for a message to a mailbox than APPEND."""

    def deliver(self, user: str, message: bytes) -> None:
        """Hand over a message. Lines end in CRLF.

        Raises:
            Temporary: it is not known to be delivered.
            Refused: it is not delivered.
        """


class ScriptStore(Protocol):
    """Where the Sieve scripts of a mail store's users are kept: a part of it.

    Raises, from every method:
        Temporary: the store cannot be asked now.
        Refused: it said no; whether for good, says its reason.

    Args:
        is_of_server: the mail store keeps the scripts itself, and this is only one way to them.
    """

    is_of_server: ClassVar[bool]

    def active(self, user: str) -> Script | None:
        """The script that filters the user's mail, of which only the name is known."""

    def install(self, user: str, script: Script, new_inbox: str = "") -> None:
        """Put a script and make it the active one. A user who has an active one keeps it.

        Args:
            new_inbox: the id (RFC 8474) of the user's INBOX, if it was created just now and has one.

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
        """Release everything. The store is not used afterwards."""
