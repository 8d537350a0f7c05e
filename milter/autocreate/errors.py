"""Every error this program raises on purpose, each class a sentence about what it means.

An error says what went wrong for the administrator's log and carries the exit status of a command
that ends with it (sysexits(3)). What a sender is told is decided by the verdict, never by an
error's text: see `autocreate.model.Answer`.
"""

from collections.abc import Sequence
from typing import ClassVar


class AutocreateError(Exception):
    """The root of this program's own errors."""

    exit_status: ClassVar[int] = 70  # EX_SOFTWARE


class Malformed(AutocreateError):
    """An address that is no address (RFC 5321, section 4.1.2): no look-up can make sense of it."""

    exit_status = 65  # EX_DATAERR


class Temporary(AutocreateError):
    """Cannot tell, or cannot do it now. The sender is asked to come back; nothing is concluded."""

    exit_status = 75  # EX_TEMPFAIL


class DeadlinePassed(Temporary):
    """No verdict in time. The work goes on, so the next attempt may find it done."""


class Unreachable(Temporary):
    """A server did not take the connection, or lost it."""


class Silent(Unreachable):
    """A server holds the connection and says nothing; asking again at once would wait again."""


class Busy(Temporary):
    """Every connection that may be open is in use, which says nothing about the server or the user."""


class Refused(AutocreateError):
    """The mail store understood the request and said no. Asking again will not help by itself."""


class ConfigurationError(AutocreateError):
    """The configuration is wrong. Nothing starts; every problem found is listed.

    Args:
        source: the file the problems are in.
        problems: one line each: the key, what is wrong with it, what would be right.
    """

    exit_status = 78  # EX_CONFIG

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))
        self.source = source
        self.problems = tuple(problems)
