"""What the MUPDATE master says of mailboxes, and how it names them: as Cyrus stores names. Without I/O."""

from dataclasses import dataclass
from enum import Enum

from autocreate.core.naming import is_possible, require_possible


class State(Enum):
    """What is known of a name (RFC 3656, section 2)."""

    ACTIVE = "MAILBOX"
    RESERVED = "RESERVE"
    """Somebody creates or moves the mailbox now, or did not come to the end of it."""
    DELETED = "DELETE"


@dataclass(frozen=True, slots=True)
class Entry:
    """A name of the master's list.

    Args:
        name: as Cyrus stores it: `user.joe`, `other.test!user.joe`.
        server: which backend has it; "" if it is deleted.
        partition: on that server; "" if it is not told.
    """

    name: str
    state: State
    server: str = ""
    partition: str = ""

    @classmethod
    def at(cls, name: str, state: State, location: str) -> "Entry":
        """An entry whose location is written `server!partition`."""
        server, _, partition = location.partition("!")
        return cls(name, state, server, partition)

    @property
    def user(self) -> str:
        """The user whose INBOX it is; "" if it is another mailbox."""
        return owner_of_stored_inbox(self.name)


def stored_inbox(user: str) -> str:
    """How Cyrus stores the name of a user's INBOX (mboxname.c): `other.test!user.j^doe`.

    Raises:
        Refused: no mailbox of Cyrus can belong to a user of that name.
    """
    require_possible(user)
    local, _, domain = user.partition("@")
    return (f"{domain}!" if domain else "") + "user." + local.replace(".", "^")


def owner_of_stored_inbox(name: str) -> str:
    """The user whose INBOX has a stored name; "" for every other mailbox."""
    domain, _, mailbox = name.rpartition("!")
    prefix, _, local = mailbox.partition(".")
    if prefix != "user" or not local or "." in local:
        return ""
    user = local.replace("^", ".") + (f"@{domain}" if domain else "")
    return user if is_possible(user) else ""
