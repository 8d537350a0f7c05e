"""Notices when Cyrus gives one mailbox id to two mailboxes.

The id names the folder of a mailbox's files: the second mailbox empties the first, and then both are one. It happens
with a Cyrus that is built without libuuid, as Debian's is (3.6 to 3.12). It takes ids from rand(3) (lib/util.c,
makeuuid) and seeds that with the second in which a process first chooses a partition or tells its free space
(imap/partlist.c, partlist_initialize). Processes of one second give the same ids. docs/mailbox-ids.md says how to
avoid it.

Two servers may give one id as well. That harms nobody until a user is moved from one to the other: XFER says OK, and
leaves the mailbox where it is (measured with 3.6).
"""

import logging
import re
import threading
from collections.abc import Callable
from typing import NamedTuple

from cachetools import LRUCache

from autocreate.errors import Refused, Temporary

log = logging.getLogger(__name__)

# More than a busy site creates while the processes of one second live on. 10 MB at most.
_MOST = 20_000


def is_of_libuuid(mailbox_id: str) -> bool:
    """Does an id come from a Cyrus that is built with libuuid? Else it is 24 letters and digits from rand(3)."""
    return not re.fullmatch("[0-9a-z]{24}", mailbox_id)


class _Mailbox(NamedTuple):
    name: str
    user: str


class SiteIds:
    """The ids of the mailboxes that were created last, at all servers. Used from several threads at once.

    Args:
        doubted: told of every user who is found to share files with another.
    """

    def __init__(self, doubted: Callable[[str], None] = lambda _user: None) -> None:
        self._doubted = doubted
        self._lock = threading.Lock()
        self._mailboxes: LRUCache[str, dict[str, _Mailbox]] = LRUCache(_MOST)
        self._doubtful: dict[str, str] = {}

    def at(self, server: str) -> "MailboxIds":
        """Those of one server.

        Args:
            server: its name; in a Murder as the master has it.
        """
        return MailboxIds(self, server)

    def given(self, mailbox_id: str, mailbox: str, user: str, server: str) -> None:
        """See `MailboxIds.given`."""
        new = _Mailbox(mailbox, user)
        with self._lock:
            same_id = self._mailboxes.setdefault(mailbox_id, {})
            elsewhere = () if server in same_id else tuple(same_id.items())
            other = same_id.setdefault(server, new)
        if other != new:  # else it is the first, or its creation is told twice
            raise self._doubt(mailbox_id, other, new, server)
        for name, there in elsewhere:
            log.error(
                "Cyrus gave the id %s to %s at %s and to %s at %s: neither %s nor %s can be moved to the other's "
                "server; see docs/mailbox-ids.md",
                *(mailbox_id, there.name, name, mailbox, server, there.user, user),
            )

    def _doubt(self, mailbox_id: str, older: _Mailbox, new: _Mailbox, server: str) -> Refused:
        error = (
            f"Cyrus at {server} gave the id {mailbox_id} to {older.name} and to {new.name}: they share "
            f"their files, and what was in {older.name} is lost; see docs/mailbox-ids.md"
        )
        log.critical("%s", error)
        for user in (older.user, new.user):
            self._doubtful[user] = error
            self._doubted(user)
        return Refused(error)

    def require_own(self, user: str) -> None:
        """See `MailboxIds.require_own`."""
        if error := self._doubtful.get(user):
            raise Temporary(error)


class MailboxIds(NamedTuple):
    """The ids of the mailboxes that were created last at one server."""

    site: SiteIds
    server: str

    def given(self, mailbox_id: str, mailbox: str, user: str) -> None:
        """A mailbox was created, and this is its id (RFC 8474); "" if the server tells none.

        Args:
            mailbox: as the administrator names it.
            user: whose it is.

        Raises:
            Refused: another mailbox of this server has that id.
        """
        if mailbox_id:
            self.site.given(mailbox_id, mailbox, user, self.server)

    def require_own(self, user: str) -> None:
        """Raises Temporary if a mailbox of the user shares its files with another, as far as this process knows."""
        self.site.require_own(user)
