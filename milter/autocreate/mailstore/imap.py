"""One IMAP session with Cyrus, in the words that this program needs and in no others.

IMAPClient quotes some arguments and not others, and knows neither PARTITION nor METADATA (measured,
see docs/decisions/). So every command here goes through `_command`, and every argument that came
from outside through `_quoted` or `_mailbox`; nothing else may put a byte on the wire.
"""

import contextlib
import imaplib
import re
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import CapabilityError, LoginError
from imapclient.imap_utf7 import decode as from_modified_utf7
from imapclient.imap_utf7 import encode as to_modified_utf7
from imapclient.response_parser import parse_response

from autocreate.core.naming import Mailboxes
from autocreate.core.sizes import GREATEST_LIMIT
from autocreate.errors import CannotCheck, Reason, Refused, ServerTimeout, Unreachable
from autocreate.mailstore.refusals import cannot_check, imap_reason
from autocreate.mailstore.ways import Tls, ways
from autocreate.mailstore.wire import Dialer, NoStarttls, Wire
from autocreate.model import Version
from autocreate.tree.values import Quota

# The entry of a folder's metadata that holds its special use, for each user (RFC 6154, section 4).
SPECIAL_USE = "/private/specialuse"

# LIST also tells levels that are no mailbox themselves.
_HOLLOW = frozenset((b"\\noselect", b"\\nonexistent"))


@dataclass(frozen=True, slots=True)
class Server:
    """Where Cyrus is, and how to log in to it as an administrator who may act for users.

    Args:
        port, tls: see `autocreate.mailstore.ways`.
        ca_file: the certificates to trust, or None for the system's.
        timeout: seconds for the connection and for each answer.
    """

    host: str
    port: int
    tls: Tls
    admin: str
    password: str
    ca_file: str | None = None
    timeout: float = 5.0
    dialer: Dialer = field(init=False, compare=False)

    def __post_init__(self) -> None:
        allowed = ways(self.tls, self.port)
        dialer = Dialer(self.host, allowed, self.ca_file, self.timeout)
        object.__setattr__(self, "dialer", dialer)

    def __str__(self) -> str:
        return f"Cyrus at {self.host}:{self.dialer.port}"

    def __repr__(self) -> str:
        # The generated one would show the password in every traceback that prints its locals.
        return f"Server({self})"


class Session(IMAPClient):
    """A connection that is logged in, as the administrator or for a user.

    Raises, from every method:
        Unreachable: the connection is of no use any more; `ServerTimeout` if it was for want of an answer.
        Refused: Cyrus said NO or BAD; the connection is still good.
    """

    is_spent = False

    def __init__(self, server: Server, user: str | None = None) -> None:
        """Connect securely, log in.

        Args:
            user: whom to act for (SASL PLAIN's authorization identity, RFC 4616), or None for the
                administrator.
        """
        self._server = server
        self._is_ready = False
        with self._translated("connecting"):
            # What IMAPClient knows of ports and of TLS is not used: see `_create_IMAP4`.
            timeout = SocketTimeout(connect=server.timeout, read=server.timeout)
            super().__init__(server.host, ssl=False, timeout=timeout)
        try:
            with self._translated("logging in"):
                self._open(user)
        except BaseException:
            self.discard()
            raise
        self._is_ready = True

    def _open(self, user: str | None) -> None:
        # At level 5, IMAPClient's choice, imaplib formats every line, passwords among them.
        self._imap.debug = 0
        try:
            self.plain_login(self._server.admin, self._server.password, user)
        except LoginError as error:
            if isinstance(error.__context__, imaplib.IMAP4.abort):
                raise error.__context__ from None  # it was no answer, but the end of the connection
            if user is None and cannot_check(str(error)):
                raise CannotCheck(
                    f"{self._server} could not check the password of the administrator "
                    f"{self._server.admin!r} ({error}): see whether what its sasl_pwcheck_method names "
                    "(saslauthd?) runs"
                ) from error
            if user is None:
                raise Unreachable(
                    f"{self._server} does not let the administrator {self._server.admin!r} in "
                    f"({error}): compare [cyrus] admin and password_file with the server's"
                ) from error
            raise Refused(
                f"{self._server} does not let {self._server.admin!r} act for {user!r} ({error})"
            ) from error

    def _create_IMAP4(self) -> Wire:  # noqa: N802 -- IMAPClient's name
        return self._server.dialer.dial()

    def discard(self) -> None:
        """Drop the connection without a word: it may be out of step."""
        with contextlib.suppress(Exception):
            self._imap.shutdown()

    def close(self) -> None:
        """Say good-bye and drop the connection."""
        with contextlib.suppress(Exception):
            self._imap.allow(1.0)
            self._imap.logout()
        self.discard()

    def certificate(self) -> dict[str, Any] | None:
        """The server's certificate as `ssl.SSLSocket.getpeercert` has it, or None without TLS."""
        connection = self.socket()
        return connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None

    def version(self) -> Version:
        """The server's, by its greeting.

        Raises:
            Unreachable: the greeting does not tell it.
        """
        found = re.search(rb"Cyrus IMAP (\d+)\.(\d+)", self.welcome)
        if not found:
            raise Unreachable(
                f"{self._server} does not tell its version, on which the meaning of autocreate_quota "
                "depends: write the number without a leading zero, or imapd.conf: serverinfo: on"
            )
        return int(found[1]), int(found[2])

    def mailboxes(self) -> Mailboxes:
        """How this session names mailboxes (NAMESPACE, RFC 2342)."""
        with self._translated("NAMESPACE"):
            namespace = self.namespace()
            # An administrator has no personal namespace where `altnamespace` is on.
            known = [pair for pairs in namespace for pair in pairs or ()]
            separator = known[0][1] if known else "/"
            personal = namespace.personal[0][0] if namespace.personal else ""
            shared = namespace.shared[0][0] if namespace.shared else ""
            others = namespace.other[0][0] if namespace.other else ""
            return Mailboxes(separator, personal, shared, others)

    def exists(self, mailbox: str) -> bool:
        """Does a mailbox stand? MYRIGHTS costs the same however many mailboxes there are."""
        try:
            answer = self._command("MYRIGHTS", _mailbox(mailbox))
        except Refused as refusal:
            if refusal.reason is Reason.MISSING:
                return False
            raise
        if len(answer) < 2:
            raise Unreachable(f"{self._server} answered MYRIGHTS with nonsense: {answer!r}")
        return True

    def create(self, mailbox: str, special_use: str | None, partition: str | None) -> bool:
        """CREATE with its parameters (RFC 3501, 6154, 4466). False if the mailbox stood already."""
        parameters = []
        if special_use:
            parameters.append(b"USE (" + _atom(special_use) + b")")
        if partition:
            parameters.append(b"PARTITION " + _atom(partition))
        arguments = [b"(" + b" ".join(parameters) + b")"] if parameters else []
        try:
            self._command("CREATE", _mailbox(mailbox), *arguments)
        except Refused as refusal:
            if refusal.reason is Reason.EXISTS:
                return False
            raise
        return True

    def acl(self, mailbox: str) -> tuple[tuple[str, str], ...] | None:
        """(identifier, rights) pairs of a mailbox (RFC 4314), or None if it does not stand."""
        try:
            answer = self._command("GETACL", _mailbox(mailbox), response="ACL")
        except Refused as refusal:
            if refusal.reason is Reason.MISSING:
                return None
            raise
        pairs = [_text(word) for word in answer[1:]]
        return tuple(zip(pairs[::2], pairs[1::2], strict=False))

    def set_acl(self, mailbox: str, identifier: str, rights: str) -> None:
        """SETACL (RFC 4314): exactly these rights for the identifier."""
        self._command("SETACL", _mailbox(mailbox), _quoted(identifier), _quoted(rights))

    def quota(self, mailbox: str) -> Quota:
        """The limits of the quota root that has a mailbox's name, empty if there is none."""
        try:
            answer = self._command("GETQUOTA", _mailbox(mailbox), response="QUOTA")
        except Refused as refusal:
            if refusal.reason is Reason.MISSING:
                return Quota()
            raise
        # A limit that is overlooked here is lost as soon as the quota is set.
        with self._translated("GETQUOTA"):
            _name, triplets = answer
            limits = {
                _text(resource).upper(): int(limit)
                for resource, _usage, limit in zip(*[iter(triplets)] * 3, strict=True)
            }
        root = not limits
        storage, messages = limits.pop("STORAGE", None), limits.pop("MESSAGE", None)
        return Quota(storage, messages, root, tuple(limits.items()))

    def is_quota_root(self, mailbox: str) -> bool:
        """Do the limits of the quota root that has a mailbox's name count for the mailbox itself?

        Its file and what the mailbox says of it are written one after the other: on a full disk the
        first may stand alone, and Cyrus says OK to SETQUOTA now and ever after.
        """
        answer = self._command("GETQUOTAROOT", _mailbox(mailbox), response="QUOTAROOT")
        return mailbox in map(_text, answer[1:])

    def set_quota(self, mailbox: str, quota: Quota) -> None:
        """SETQUOTA (RFC 9208): make the mailbox a quota root with these limits and no others."""
        named = (("STORAGE", quota.storage), ("MESSAGE", quota.messages), *quota.others)
        limits = {resource: limit for resource, limit in named if limit is not None}
        if (
            max(limits.values(), default=0) > GREATEST_LIMIT
        ):  # "Fatal error: num too big", getword.c
            raise Refused(
                f"SETQUOTA: {quota.description} is more than Cyrus can count", Reason.IMPOSSIBLE
            )
        words = [b"%b %d" % (_atom(resource), limit) for resource, limit in limits.items()]
        self._command("SETQUOTA", _mailbox(mailbox), b"(" + b" ".join(words) + b")")

    def metadata(self, mailbox: str, entry: str) -> str | None:
        """The value of an entry of a mailbox's metadata (RFC 5464), or None if it has none.

        Args:
            entry: "/private/..." is this session's user's own, "/shared/..." everybody's.
        """
        wanted = f"({entry})".encode("ascii")
        answer = self._command("GETMETADATA", _mailbox(mailbox), wanted, response="METADATA")
        values: Sequence[Any] = answer[1] if answer[1:] else ()
        return _text(values[1]) if len(values) > 1 and values[1] else None

    def set_metadata(self, mailbox: str, entry: str, value: str) -> None:
        """SETMETADATA (RFC 5464): give an entry of a mailbox's metadata a value. See `metadata`."""
        pair = f"({entry} ".encode("ascii") + _quoted(value) + b")"
        self._command("SETMETADATA", _mailbox(mailbox), pair)

    def subscribe(self, mailbox: str) -> None:
        """SUBSCRIBE this session's user."""
        self._command("SUBSCRIBE", _mailbox(mailbox))

    def subscriptions(self) -> frozenset[str]:
        """What this session's user is subscribed to, as the user names it."""
        with self._translated("LSUB"):
            return frozenset(name for _, _, name in self.list_sub_folders())

    def mailboxes_below(self, prefix: str) -> list[str]:
        """What this session's user sees whose name begins so. Cyrus walks through all it has."""
        with self._translated("LIST"):
            listed = self.list_folders("", f"{prefix}*")
        return [
            name for flags, _, name in listed if _HOLLOW.isdisjoint(flag.lower() for flag in flags)
        ]

    def selectable(self, pattern: str) -> Iterator[str]:
        """The mailboxes that LIST finds for a pattern with wildcards, each as it comes in.

        The answer is never held as a whole. The session must be discarded if it is not read to its end.
        """
        with self._translated("LIST"):
            self._imap.untagged_responses.pop("LIST", None)
            tag = self._imap._command("LIST", b'""', _mailbox(pattern))
            while (tagged := self._imap.tagged_commands[tag]) is None:
                self._imap.allow(self._server.timeout)
                self._imap._get_response()
                lines = self._imap.untagged_responses.pop("LIST", None)
                if lines is not None:
                    flags, _, name = parse_response(lines)
                    if _HOLLOW.isdisjoint(flag.lower() for flag in flags):
                        yield from_modified_utf7(name)
            del self._imap.tagged_commands[tag]
            if tagged[0] != "OK":
                raise _refused("LIST", tagged[1][0])

    def _command(
        self, name: str, *arguments: bytes, response: str | None = None
    ) -> tuple[Any, ...]:
        """Send a command whose arguments are ready for the wire, and return its untagged answer."""
        untagged = self._imap.untagged_responses
        untagged.pop(response or name, None)
        with self._translated(name):
            status, data = self._imap.xatom(name, *arguments)
            if status != "OK":
                raise _refused(name, data[0])
            lines = self._imap.untagged_responses.pop(response or name, [])
            return tuple(parse_response(lines)) if lines else ()

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """Give an exchange its time, and its errors our names."""
        try:
            if hasattr(self, "_imap"):
                self._imap.allow(self._server.timeout)
            yield
        except (Unreachable, Refused):
            raise
        except TimeoutError as error:
            raise ServerTimeout(
                f"{self._server} did not answer within {self._server.timeout:g} s ({doing})"
            ) from error
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(
                f"{self._server} has a certificate that is not trusted "
                f"({error.verify_message}): see [cyrus] ca_file and host"
            ) from error
        except NoStarttls as error:
            raise Unreachable(f"{self._server} offers no STARTTLS") from error
        except CapabilityError as error:
            raise Unreachable(f"{self._server} lacks a capability ({doing}): {error}") from error
        except imaplib.IMAP4.abort as error:
            raise Unreachable(
                f"{self._server} dropped the connection ({doing}): {error}"
            ) from error
        except imaplib.IMAP4.error as error:
            if not self._is_ready:
                raise Unreachable(f"{self._server} did not let us in ({doing}): {error}") from error
            raise Refused(f"{doing}: {error}") from error  # BAD
        except OSError as error:
            raise Unreachable(f"{self._server} cannot be reached ({doing}): {error}") from error
        except Exception as error:
            # imaplib and the parser stumble over nonsense with whatever comes to hand.
            raise Unreachable(f"{self._server} answered nonsense ({doing}): {error!r}") from error


def _mailbox(name: str) -> bytes:
    """A mailbox name for the wire: modified UTF-7 (RFC 3501, 5.1.3), quoted."""
    if not name.isprintable():
        raise Refused(f"mailbox name {name!r} has control characters", Reason.IMPOSSIBLE)
    if name.isascii() and "&" not in name:
        return _quoted(name)  # nothing to encode, as in nearly all of them
    encoded: bytes = to_modified_utf7(name)
    return _quoted(encoded.decode("ascii"))


def _quoted(text: str) -> bytes:
    """A quoted string (RFC 3501): printable ASCII, so that nothing can end it early."""
    if not (text.isascii() and text.isprintable()):
        raise Refused(f"{text!r} has characters that IMAP cannot quote", Reason.IMPOSSIBLE)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.encode("ascii")


def _atom(text: str) -> bytes:
    """A word that IMAP takes unquoted: a partition's name, a special-use attribute."""
    bare = text.removeprefix("\\")
    if not (bare.isascii() and bare.replace("-", "").replace("_", "").replace("$", "").isalnum()):
        raise Refused(f"{text!r} is not an IMAP atom", Reason.IMPOSSIBLE)
    return text.encode("ascii")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _refused(command: str, said: Any) -> Refused:
    text = _text(said)
    return Refused(f"{command}: {text}", imap_reason(text))
