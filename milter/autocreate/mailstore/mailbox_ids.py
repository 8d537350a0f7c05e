"""Notices when Cyrus gives one mailbox id to two mailboxes.

The id names the folder of a mailbox's files: the second mailbox empties the first, and then both are one. It happens
with a Cyrus that is built without libuuid, as Debian's is (3.6 to 3.12). It takes ids from rand(3) (lib/util.c,
makeuuid) and seeds that with the second in which a process first chooses a partition or tells its free space
(imap/partlist.c, partlist_initialize). Processes of one second give the same ids. docs/mailbox-ids.md says how to
avoid it.
"""

import logging
import re
import threading
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


class MailboxIds:
    """The ids of the mailboxes that were created last. Used from several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mailboxes: LRUCache[str, _Mailbox] = LRUCache(_MOST)
        self._doubtful: dict[str, str] = {}

    def given(self, mailbox_id: str, mailbox: str, user: str) -> None:
        """A mailbox was created, and this is its id (RFC 8474); "" if the server tells none.

        Args:
            mailbox: as the administrator names it.
            user: whose it is.

        Raises:
            Refused: another mailbox has that id.
        """
        if not mailbox_id:
            return
        new = _Mailbox(mailbox, user)
        with self._lock:
            other = self._mailboxes.setdefault(mailbox_id, new)
            # Its creation may be told twice; another server may have one of that name.
            if other == new:
                return
            error = (
                f"Cyrus gave the id {mailbox_id} to {other.name} and to {mailbox}: on one server they share "
                f"their files, and what was in {other.name} is lost; see docs/mailbox-ids.md"
            )
            self._doubtful |= {other.user: error, user: error}
        log.critical("%s", error)
        raise Refused(error)

    def require_own(self, user: str) -> None:
        """Raises Temporary if a mailbox of the user shares its files with another, as far as this process knows."""
        if error := self._doubtful.get(user):
            raise Temporary(error)
