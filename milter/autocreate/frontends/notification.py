"""What Cyrus tells notifyd(8): a datagram of strings, each ended by a NUL, the last of them JSON.

In order: method, class, priority, user, mailbox, the number of options, the options, the message
(notify() of Cyrus's notify.c). The messages are those of `event_groups: access mailbox`.
"""

import json
import urllib.parse
from dataclasses import dataclass
from typing import Any

from autocreate.core.naming import owner
from autocreate.errors import MalformedNotification
from autocreate.model import Login

_CLASS = b"EVENT"

# The message does not name the service. Whatever is not POP3 on its usual ports is taken for IMAP.
_SERVICE_OF_PORT = {110: "pop3", 995: "pop3"}


@dataclass(frozen=True, slots=True)
class Event:
    """What a notification means to this program.

    Args:
        login: the user who logged in: the authorized one, not the one whose password was checked.
        owners_of_removed: users who had a mailbox deleted or renamed.
    """

    login: Login | None = None
    owners_of_removed: tuple[str, ...] = ()


def parse(datagram: bytes) -> Event:
    """Read a notification. One that does not concern us is an empty event.

    Raises:
        MalformedNotification: it is not a notification.
    """
    strings = datagram.split(b"\0")
    try:
        count = int(strings[5])
        message = strings[6 + count]
    except (IndexError, ValueError):
        raise MalformedNotification("not a notification of Cyrus") from None
    if strings[1] != _CLASS:
        return Event()
    try:
        facts = json.loads(message)
    except (ValueError, RecursionError):
        raise MalformedNotification("an event that is not JSON") from None
    if not isinstance(facts, dict):
        raise MalformedNotification("an event that is not a JSON object")
    match facts.get("event"):
        case "Login":
            return Event(login=_login(facts))
        case "MailboxDelete":
            return Event(owners_of_removed=_owner(facts.get("uri")))
        case "MailboxRename":
            return Event(owners_of_removed=_owner(facts.get("oldMailboxID")))
    return Event()


def _login(facts: dict[str, Any]) -> Login:
    user, port = facts.get("user"), facts.get("serverPort")
    if not isinstance(user, str) or not user.isprintable() or not user:
        raise MalformedNotification("a Login event without a user")
    return Login(user, _SERVICE_OF_PORT.get(port, "imap") if isinstance(port, int) else "imap")


def _owner(uri: Any) -> tuple[str, ...]:
    """The owner of the mailbox of an IMAP URL (RFC 5092); nothing for a shared one."""
    if not isinstance(uri, str):
        raise MalformedNotification("a mailbox event without its mailbox")
    try:
        path = urllib.parse.urlsplit(uri).path.removeprefix("/").partition(";")[0]
    except ValueError:
        raise MalformedNotification(
            f"a mailbox event whose mailbox is not a URL: {uri!r}"
        ) from None
    user = owner(urllib.parse.unquote(path))
    return (user,) if user else ()
