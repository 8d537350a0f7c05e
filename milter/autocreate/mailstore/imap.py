"""One IMAP session with Cyrus: what this program asks about mailboxes and does with them, and nothing else."""

import re
from collections.abc import Sequence
from typing import Any

from autocreate.core.naming import Mailboxes
from autocreate.core.sizes import GREATEST_LIMIT
from autocreate.errors import Reason, Refused, Unreachable
from autocreate.mailstore.connection import (
    Answer,
    Connection,
    Question,
    atom,
    mailbox_name,
    quoted,
    text_of,
)
from autocreate.mailstore.refusals import imap_reason
from autocreate.tree.values import Quota

# The entry of a folder's metadata that holds its special use, for each user (RFC 6154, section 4).
SPECIAL_USE = "/private/specialuse"
# A mailbox keeps it when it is renamed; one that was deleted and created again has another.
_UNIQUE_ID = "/shared/vendor/cmu/cyrus-imapd/uniqueid"

# A server's free space in KiB, for administrators (imap/annotate.c).
FREE_SPACE = "/shared/vendor/cmu/cyrus-imapd/freespace"

# RFC 8474, section 4.1: an objectid.
_MAILBOX_ID = re.compile(rb"\[MAILBOXID \(([A-Za-z0-9_-]{1,255})\)\]")


class Session(Connection):
    """A connection that is logged in, as the administrator or for a user.

    Raises, from every method, what `Connection` raises.
    """

    @property
    def is_in_murder(self) -> bool:
        """Is the server a member of a Cyrus Murder (`mupdate_server` of its imapd.conf)?

        Then its no to a mailbox says nothing about the others. A frontend's own list of mailboxes is behind
        while it cannot reach the master.
        """
        return any(word.startswith(b"MUPDATE=") for word in self.offers())

    def mailboxes(self) -> Mailboxes:
        """How this session names mailboxes (NAMESPACE, RFC 2342)."""
        with self.exchange("NAMESPACE"):
            namespace = self.namespace()
            # An administrator has no personal namespace where `altnamespace` is on.
            known = [pair for pairs in namespace for pair in pairs or ()]
            separator = known[0][1] if known else "/"
            personal = namespace.personal[0][0] if namespace.personal else ""
            shared = namespace.shared[0][0] if namespace.shared else ""
            others = namespace.other[0][0] if namespace.other else ""
            return Mailboxes(separator, personal, shared, others)

    def exists(self, mailbox: str) -> bool:
        """Does a mailbox exist? MYRIGHTS costs the same however many mailboxes there are."""
        try:
            answer = self.command("MYRIGHTS", mailbox_name(mailbox))
        except Refused as refusal:
            if refusal.reason is Reason.MISSING:
                return False
            raise
        if len(answer) < 2:
            raise Unreachable(f"{self._server} answered MYRIGHTS with nonsense: {answer!r}")
        return True

    def create(
        self,
        mailbox: str,
        special_use: str | None,
        partition: str | None,
        server: str | None = None,
    ) -> str | None:
        """CREATE with its parameters: see `creation`.

        Returns:
            The new mailbox's id (RFC 8474), "" if the server tells none; None if the mailbox existed already.
        """
        (answer,) = self.ask(creation(mailbox, special_use, partition, server))
        if answer.refusal and answer.refusal.reason is Reason.EXISTS:
            return None
        answer.require()
        return id_of_new(answer)

    def acl(self, mailbox: str) -> tuple[tuple[str, str], ...] | None:
        """(identifier, rights) pairs of a mailbox (RFC 4314), or None if it does not exist."""
        (answer,) = self.ask(acl_of(mailbox))
        return self.rights(answer)

    def rights(self, answer: Answer) -> tuple[tuple[str, str], ...] | None:
        """What the answer to `acl_of` says: see `acl`."""
        if answer.refusal and answer.refusal.reason is Reason.MISSING:
            return None
        pairs = [text_of(word) for word in self.words(answer, "ACL")[1:]]
        return tuple(zip(pairs[::2], pairs[1::2], strict=False))

    def set_acl(self, mailbox: str, identifier: str, rights: str) -> None:
        """SETACL (RFC 4314): exactly these rights for the identifier."""
        self.ask(grant(mailbox, identifier, rights))[0].require()

    def quota(self, mailbox: str) -> Quota:
        """The limits of the quota root that has a mailbox's name, empty if there is none."""
        (answer,) = self.ask(limits_of(mailbox))
        return self.limits(answer)

    def limits(self, answer: Answer) -> Quota:
        """What the answer to `limits_of` says: see `quota`."""
        if answer.refusal and answer.refusal.reason is Reason.MISSING:
            return Quota()
        told = self.words(answer, "QUOTA")
        # A limit that is overlooked here is lost as soon as the quota is set.
        with self.exchange("GETQUOTA"):
            _name, triplets = told
            limits = {
                text_of(resource).upper(): int(limit)
                for resource, _usage, limit in zip(*[iter(triplets)] * 3, strict=True)
            }
        root = not limits
        storage, messages = limits.pop("STORAGE", None), limits.pop("MESSAGE", None)
        return Quota(storage, messages, root, tuple(limits.items()))

    def is_quota_root(self, mailbox: str) -> bool:
        """Do the limits of the quota root that has a mailbox's name count for the mailbox itself?

        Its file and what the mailbox says of it are written one after the other: on a full disk the
        first may be there alone, and Cyrus says OK to SETQUOTA now and ever after.
        """
        (answer,) = self.ask(_roots_of(mailbox))
        return self._has_own_root(mailbox, answer)

    def set_quota(self, mailbox: str, quota: Quota) -> bool:
        """SETQUOTA (RFC 9208): make the mailbox a quota root with these limits and no others.

        Returns:
            Whether the limits count then: see `is_quota_root`.
        """
        named = (("STORAGE", quota.storage), ("MESSAGE", quota.messages), *quota.others)
        limits = {resource: limit for resource, limit in named if limit is not None}
        if (
            max(limits.values(), default=0) > GREATEST_LIMIT
        ):  # "Fatal error: num too big", getword.c
            raise Refused(
                f"SETQUOTA: {quota.description} is more than Cyrus can count", Reason.IMPOSSIBLE
            )
        words = [b"%b %d" % (atom(resource), limit) for resource, limit in limits.items()]
        setting = Question("SETQUOTA", (mailbox_name(mailbox), b"(" + b" ".join(words) + b")"))
        done, roots = self.ask(setting, _roots_of(mailbox))
        done.require()
        return self._has_own_root(mailbox, roots)

    def _has_own_root(self, mailbox: str, answer: Answer) -> bool:
        return mailbox in map(text_of, self.words(answer, "QUOTAROOT")[1:])

    def metadata(self, mailbox: str, entry: str) -> str | None:
        """The value of an entry of a mailbox's metadata (RFC 5464), or None if it has none.

        Args:
            entry: "/private/..." is this session's user's own, "/shared/..." everybody's.
        """
        wanted = f"({entry})".encode("ascii")
        answer = self.command("GETMETADATA", mailbox_name(mailbox), wanted, response="METADATA")
        with self.exchange("GETMETADATA"):
            values: Sequence[Any] = answer[1] if answer[1:] else ()
            return text_of(values[1]) if len(values) > 1 and values[1] else None

    def set_metadata(self, mailbox: str, entry: str, value: str) -> None:
        """SETMETADATA (RFC 5464): give an entry of a mailbox's metadata a value. See `metadata`."""
        pair = f"({entry} ".encode("ascii") + quoted(value) + b")"
        self.command("SETMETADATA", mailbox_name(mailbox), pair)

    def unique_id(self, mailbox: str) -> str:
        """What tells a mailbox from every other, and from an earlier one of its name."""
        found = self.metadata(mailbox, _UNIQUE_ID)
        if not found:
            raise Unreachable(f"{self._server} does not tell the unique id of {mailbox}")
        return found

    def created_at(self, mailbox: str) -> float:
        """When a mailbox was created, in seconds since the epoch: Cyrus makes it its UIDVALIDITY (imap/mailbox.c)."""
        wanted = b"(UIDVALIDITY)"
        answer = self.command("STATUS", mailbox_name(mailbox), wanted, response="STATUS")
        with self.exchange("STATUS"):
            _mailbox, (_name, value) = answer
            return float(value)

    def has_message(self, mailbox: str, message_id: str) -> bool:
        """Is there a message with this Message-ID? EXAMINE leaves the mailbox's flags as they are."""
        self.command("EXAMINE", mailbox_name(mailbox))
        self._imap.state = "SELECTED"  # else imaplib sends no SEARCH
        try:
            answer = self.command("SEARCH", b"HEADER Message-ID", quoted(message_id))
            return any(isinstance(it, int) for it in answer)
        finally:
            self._imap.state = "AUTH"

    def append(self, mailbox: str, message: bytes) -> None:
        """APPEND a message, unseen."""
        with self.exchange("APPEND"):
            # imaplib sends a literal only by its own method, and ends its lines in CRLF itself.
            self._imap.literal = message
            status, data = self._imap._simple_command("APPEND", mailbox_name(mailbox).decode())
        if status != "OK":
            said = text_of(data[0])
            raise Refused(f"APPEND: {said}", imap_reason(said))

    def subscribe(self, mailbox: str) -> None:
        """SUBSCRIBE this session's user."""
        self.command("SUBSCRIBE", mailbox_name(mailbox))

    def subscriptions(self) -> frozenset[str]:
        """What this session's user is subscribed to, as the user names it."""
        with self.exchange("LSUB"):
            return frozenset(name for _, _, name in self.list_sub_folders())


def creation(
    mailbox: str, special_use: str | None, partition: str | None, server: str | None = None
) -> Question:
    """CREATE with its parameters (RFC 3501, 6154, 4466).

    Args:
        server: Cyrus's own parameter, at a frontend of a Murder: the backend (imapd.c, cmd_create).
    """
    parameters = []
    if special_use:
        parameters.append(b"USE (" + atom(special_use) + b")")
    if partition:
        parameters.append(b"PARTITION " + atom(partition))
    if server:
        parameters.append(b"SERVER " + atom(server))
    arguments = [b"(" + b" ".join(parameters) + b")"] if parameters else []
    return Question("CREATE", (mailbox_name(mailbox), *arguments))


def id_of_new(answer: Answer) -> str:
    """The id (RFC 8474) in the OK to CREATE; "" if the server tells none."""
    told = _MAILBOX_ID.match(answer.said)
    return told[1].decode("ascii") if told else ""


def acl_of(mailbox: str) -> Question:
    """GETACL: see `Session.acl`."""
    return Question("GETACL", (mailbox_name(mailbox),))


def limits_of(mailbox: str) -> Question:
    """GETQUOTA: see `Session.quota`."""
    return Question("GETQUOTA", (mailbox_name(mailbox),))


def _roots_of(mailbox: str) -> Question:
    return Question("GETQUOTAROOT", (mailbox_name(mailbox),))


def grant(mailbox: str, identifier: str, rights: str) -> Question:
    """SETACL: see `Session.set_acl`."""
    return Question("SETACL", (mailbox_name(mailbox), quoted(identifier), quoted(rights)))
