"""Every error this program raises on purpose, each class a sentence about what it means.

An error says what went wrong for the administrator's log and carries the exit status of a command
that ends with it (sysexits(3)). What a sender is told is decided by the verdict, never by an
error's text: see `autocreate.model.Answer`.
"""

from collections.abc import Sequence
from enum import Enum
from typing import ClassVar

_LONGEST = 2000  # characters of a text that contains words of a server


def abridged(text: str) -> str:
    """The text, or its beginning if it is very long: servers choose their words, which are logged and kept."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text):,} characters)"


class AutocreateError(Exception):
    """The root of this program's own errors."""

    exit_status: ClassVar[int] = 70  # EX_SOFTWARE


class Malformed(AutocreateError):
    """An address that is no address (RFC 5321, section 4.1.2): no look-up can make sense of it."""

    exit_status = 65  # EX_DATAERR


class MalformedInput(AutocreateError):
    """Input that its protocol or its format does not allow. Each protocol has a class of its own."""

    exit_status = 65  # EX_DATAERR


class MalformedRequest(MalformedInput):
    """A request to check a password that is not one of saslauthd's protocol."""


class IncompleteRequest(MalformedRequest):
    """One that ends before its length fields say. More of it may come."""


class MalformedLookup(MalformedInput):
    """A request at the socket map that is not a netstring with a map's name and a key."""


class MalformedNotification(MalformedInput):
    """A notification that is not one of Cyrus's notify protocol, or has an event without its fields."""


class MalformedMessage(MalformedInput):
    """A message that is not one that this program sends to other MTAs."""


class MalformedValue(MalformedInput, ValueError):
    """A value of a file, a database or a directory that its format does not allow.

    It is a `ValueError`, so that the configuration's types may raise it.
    """


class Temporary(AutocreateError):
    """Cannot tell, or cannot do it now. The sender is told to try again (451); nothing is concluded."""

    exit_status = 75  # EX_TEMPFAIL

    def __init__(self, text: str = "") -> None:
        super().__init__(abridged(text))


class CreationLimited(Temporary):
    """More mailboxes would be created than `[limits]` allows. The journal does not know of the user."""


class DeadlinePassed(Temporary):
    """No verdict in time. The work goes on, so the next attempt may find it done."""


class Unreachable(Temporary):
    """A server did not take the connection, or lost it."""


class NotLetIn(Unreachable):
    """A server does not take our name and password."""


class CannotCheck(Unreachable):
    """A server could not check our password, which it does not call wrong."""


class PlainNotOffered(Unreachable):
    """A server does not take SASL PLAIN on this connection, the only way in that we know."""


class ServerTimeout(Unreachable):
    """A server did not answer in time. Asking again at once would only wait again."""


class NotInMemory(AutocreateError):
    """An answer needs a driver, a socket or a disk. See `autocreate.accounts.MemorySource`."""


class PoolExhausted(Temporary):
    """Every connection that may be open is in use, which says nothing about the server or the user."""


class Reason(Enum):
    """Why the mail store said no, as far as a decision depends on it.

    Anything that is not known to be final is `OTHER`: a full disk, a lock, a server that is shutting
    down. Only that may be over when the same is asked again.
    """

    MISSING = "there is no such mailbox, quota root or script, or none that this user may see"
    EXISTS = "it already exists"
    FORBIDDEN = "this user may not do it"
    TAKEN = "the user has something of their own in that place"
    IMPOSSIBLE = "what was asked for can never be"
    OTHER = "anything else, which may pass"


class Refused(AutocreateError):
    """The mail store understood the request and said no.

    Args:
        text: what was asked and what the store said, for the log.
        reason: what decisions depend on; never the text.
        said: the store's own words alone, for a caller that says in other words what was asked.
    """

    def __init__(self, text: str, reason: Reason = Reason.OTHER, said: str = "") -> None:
        super().__init__(abridged(text))
        self.reason = reason
        self.said = said


class ConfigurationError(AutocreateError):
    """The configuration is wrong. Nothing starts; every problem found is listed.

    Args:
        source: the file the problems are in.
        problems: one line each: the key, what is wrong with it, what would be right.
        lines: the line in the file of each problem, None where there is none; empty if it is not known.
    """

    exit_status = 78  # EX_CONFIG

    def __init__(
        self, source: str, problems: Sequence[str], lines: Sequence[int | None] = ()
    ) -> None:
        self.source = source
        self.problems = tuple(problems)
        self.lines = tuple(lines) or (None,) * len(self.problems)
        places = (f"{source}, line {line}" if line else source for line in self.lines)
        told = zip(places, self.problems, strict=True)
        super().__init__("\n".join(f"{place}: {problem}" for place, problem in told))
