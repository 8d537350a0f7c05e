"""What one MTA tells the others, as text. It comes from a database that others may write to."""

import json
from enum import Enum
from typing import NamedTuple

from autocreate.errors import MalformedMessage

# Characters of a message and of a user. Cyrus's mailbox names, and the journal's keys, are shorter.
_LONGEST = 4000
_LONGEST_USER = 500


class Kind(Enum):
    """What has happened."""

    CREATED = "created"  # a user has a mailbox now
    DELETED = "deleted"  # a user has none any more
    CLEARED = "cleared"  # caches were cleared, for a user or for everyone


class Message(NamedTuple):
    """What has happened, to whom, and who says so.

    Args:
        user: a Cyrus user id; None for everyone.
        sender: the token of a process.
    """

    kind: Kind
    user: str | None
    sender: str


def encoded(message: Message) -> str:
    """A message as text, in ASCII: so a database of any encoding takes it."""
    fields = {"what": message.kind.value, "user": message.user, "from": message.sender}
    return json.dumps(fields)


def decoded(text: str) -> Message:
    """The message of a text.

    Raises:
        MalformedMessage: it is none. It may be a later version's.
    """
    try:
        if len(text) > _LONGEST:
            raise ValueError("too long")
        fields = json.loads(text)
        message = Message(Kind(fields["what"]), fields["user"], fields["from"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise MalformedMessage(f"not a message of this program: {text[:100]!r}") from error
    if message.user is None:
        is_well = message.kind is Kind.CLEARED
    else:
        is_well = isinstance(message.user, str) and 0 < len(message.user) <= _LONGEST_USER
        is_well = is_well and message.user.isprintable()
    if not is_well or not isinstance(message.sender, str):
        raise MalformedMessage(f"not a message about a user: {text[:100]!r}")
    return message
