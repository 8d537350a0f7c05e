"""A connection to Cyrus's imapd that is logged in: commands, their answers, and what goes wrong with them.

IMAPClient quotes some arguments and not others, and knows neither PARTITION nor METADATA (measured,
see docs/decisions/). So every command goes through `command`, and every argument that came from
outside through `quoted`, `atom` or `mailbox_name`; nothing else may put a byte on the wire.
"""

import contextlib
import functools
import imaplib
import re
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import CapabilityError
from imapclient.imap_utf7 import decode as from_modified_utf7
from imapclient.imap_utf7 import encode as to_modified_utf7
from imapclient.response_parser import parse_response

from autocreate.errors import (
    AutocreateError,
    CannotCheck,
    NotLetIn,
    PlainNotOffered,
    Reason,
    Refused,
    ServerTimeout,
    Unreachable,
)
from autocreate.mailstore.refusals import LoginRefusal, imap_reason, login_refusal
from autocreate.mailstore.server import CONNECTION_ERRORS, Exchange, Server
from autocreate.mailstore.wire import NoStarttls, Wire
from autocreate.model import Version
from autocreate.resilience.exception_map import ExceptionMap, map_exceptions

# LIST also tells levels that are no mailbox themselves.
_NO_MAILBOX = frozenset((b"\\noselect", b"\\nonexistent"))


_ERRORS: ExceptionMap[Exchange] = {
    **CONNECTION_ERRORS,
    TimeoutError: lambda at, _: ServerTimeout(
        f"{at.server} did not answer within {at.server.timeout:g} s ({at.doing})"
    ),
    NoStarttls: lambda at, _: Unreachable(f"{at.server} offers no STARTTLS"),
    CapabilityError: lambda at, error: Unreachable(
        f"{at.server} lacks a capability ({at.doing}): {error}"
    ),
    imaplib.IMAP4.abort: lambda at, error: Unreachable(
        f"{at.server} dropped the connection ({at.doing}): {error}"
    ),
    imaplib.IMAP4.error: lambda at, error: (
        Refused(f"{at.doing}: {error}")  # BAD
        if at.is_logged_in
        else Unreachable(f"{at.server} did not let us in ({at.doing}): {error}")
    ),
    # imaplib and the parser stumble over nonsense with whatever comes to hand.
    Exception: lambda at, error: Unreachable(
        f"{at.server} answered nonsense ({at.doing}): {error!r}"
    ),
}


class Question(NamedTuple):
    """A command.

    Args:
        name: of the command.
        arguments: ready for the wire.
    """

    name: str
    arguments: tuple[bytes, ...] = ()


class Answer(NamedTuple):
    """What the server said to a command.

    Args:
        said: the text behind its OK or NO.
        refusal: it said NO or BAD.
        untagged: its responses before that, by their name, as imaplib keeps them.
        is_bad: it said BAD. It does not know such a command, or not from this user.
    """

    said: bytes
    refusal: Refused | None
    untagged: Mapping[str, list[Any]]
    is_bad: bool = False

    def require(self) -> None:
        """Raises Refused if the server said no."""
        if self.refusal:
            raise self.refusal


class Connection(IMAPClient):
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
        with self.exchange("connecting"):
            # What IMAPClient knows of ports and of TLS is not used: see `_create_IMAP4`.
            timeout = SocketTimeout(connect=server.timeout, read=server.timeout)
            super().__init__(server.host, ssl=False, timeout=timeout)
        try:
            with self.exchange("logging in"):
                self._log_in(user)
        except BaseException:
            self.discard()
            raise
        self._is_ready = True

    def _log_in(self, user: str | None) -> None:
        # At level 5, IMAPClient's choice, imaplib formats every line, passwords among them.
        self._imap.debug = 0
        words = "\0".join((user or "", self._server.admin, self._server.password))
        try:
            self._imap.log_in(words.encode())
        except imaplib.IMAP4.abort:
            raise  # the end of the connection, and no answer
        except imaplib.IMAP4.error as error:
            raise _not_let_in(self._server, user, error) from error
        if "CAPABILITY" in self._imap.untagged_responses:
            self.capabilities()  # IMAPClient keeps them

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

    def offers(self) -> frozenset[bytes]:
        """The capabilities that the server has told, which depend on who is logged in."""
        with self.exchange("CAPABILITY"):
            return _as_set(self.capabilities())

    def certificate(self) -> dict[str, Any] | None:
        """The server's certificate as `ssl.SSLSocket.getpeercert` has it, or None without TLS."""
        connection = self.socket()
        return connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None

    def version(self) -> Version:
        """The server's, by its answer to ID (RFC 2971). Its greeting may have come before TLS.

        Raises:
            Unreachable: the server does not tell it.
        """
        with self.exchange("ID"):
            (told,) = self.command("ID", b"NIL") or ((),)
            fields = dict(zip(*[iter(told or ())] * 2, strict=False))
            found = re.match(rb"(?:Cyrus IMAP )?(\d+)\.(\d+)", fields.get(b"version") or b"")
        if not found:
            raise Unreachable(
                f"{self._server} does not tell its version, on which the meaning of autocreate_quota "
                "depends: write the number without a leading zero, or imapd.conf: serverinfo: on"
            )
        return int(found[1]), int(found[2])

    def command(self, name: str, *arguments: bytes, response: str | None = None) -> tuple[Any, ...]:
        """Send a command whose arguments are ready for the wire, and return its untagged answer."""
        (answer,) = self.ask(Question(name, arguments))
        return self.words(answer, response or name)

    def words(self, answer: Answer, response: str) -> tuple[Any, ...]:
        """An untagged response of an answer, parsed; empty if there is none.

        Raises:
            Refused: the server said no.
        """
        answer.require()
        lines = answer.untagged.get(response)
        with self.exchange(response):
            return tuple(parse_response(lines)) if lines else ()

    def ask(self, *questions: Question) -> list[Answer]:
        """Send commands in one write, and return what the server said to each. It carries them out in this order.

        Only for commands each of which is right whatever becomes of the others. Each answer has the server's timeout.

        Raises:
            Unreachable: an answer is missing. What was carried out is not known.
        """
        if not questions:
            return []
        with self.exchange(", ".join(dict.fromkeys(question.name for question in questions))):
            lines = [
                b" ".join((question.name.encode("ascii"), *question.arguments))
                for question in questions
            ]
            answers = self._imap.ask(lines, self._server.timeout)
            return [
                Answer(
                    said,
                    None if status == "OK" else _refused(question.name, said),
                    untagged,
                    status == "BAD",
                )
                for question, (status, said, untagged) in zip(questions, answers, strict=True)
            ]

    def mailboxes_below(self, prefix: str) -> list[str]:
        """What this session's user sees whose name begins so. Cyrus walks through all it has."""
        with self.exchange("LIST"):
            listed = self.list_folders("", f"{prefix}*")
            return [name for flags, _, name in listed if _is_mailbox(flags)]

    def selectable(self, pattern: str) -> Iterator[str]:
        """The mailboxes that LIST finds for a pattern with wildcards, each as it comes in.

        The answer is never held as a whole. The session must be discarded if it is not read to its end.
        """
        with self.exchange("LIST"):
            tag = self._imap._command("LIST", b'""', mailbox_name(pattern))
            while (tagged := self._imap.tagged_commands[tag]) is None:
                self._imap.allow(self._server.timeout)
                self._imap._get_response()
                lines = self._imap.untagged_responses.pop("LIST", None)
                if lines is not None:
                    flags, _, name = parse_response(lines)
                    if _is_mailbox(flags):
                        yield from_modified_utf7(name)
            del self._imap.tagged_commands[tag]
            if tagged[0] != "OK":
                raise _refused("LIST", tagged[1][0])

    def exchange(self, doing: str) -> contextlib.AbstractContextManager[None]:
        """Give an exchange its limit, and its errors our names. What the server said before does not count."""
        if hasattr(self, "_imap"):
            self._imap.allow(self._server.timeout)
            self._imap.forget()
        return map_exceptions(_ERRORS, Exchange(self._server, doing, self._is_ready))


# Looked at for each user, and nearly always the same ones.
@functools.lru_cache(100)
def _as_set(capabilities: tuple[bytes, ...]) -> frozenset[bytes]:
    return frozenset(capabilities)


def mailbox_name(name: str) -> bytes:
    """A mailbox name for the wire: modified UTF-7 (RFC 3501, 5.1.3), quoted.

    Raises:
        Refused: it has control characters.
    """
    if not name.isprintable():
        raise Refused(f"mailbox name {name!r} has control characters", Reason.IMPOSSIBLE)
    if name.isascii() and "&" not in name:
        return quoted(name)  # nothing to encode, as in nearly all of them
    encoded: bytes = to_modified_utf7(name)
    return quoted(encoded.decode("ascii"))


def stored_name(name: str) -> bytes:
    """A mailbox name as Cyrus stores it: modified UTF-7. It still has to be quoted."""
    if name.isascii() and name.isprintable() and "&" not in name:
        return name.encode("ascii")  # nothing to encode, as in nearly all of them
    encoded: bytes = to_modified_utf7(name)
    return encoded


def quoted(text: str) -> bytes:
    """A quoted string (RFC 3501): printable ASCII, so that nothing can end it early.

    Raises:
        Refused: it has other characters.
    """
    if not (text.isascii() and text.isprintable()):
        raise Refused(f"{text!r} has characters that IMAP cannot quote", Reason.IMPOSSIBLE)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.encode("ascii")


def quoted_text(text: str) -> bytes:
    """A quoted string in UTF-8 (RFC 9051, 4.3), which Cyrus takes in values of annotations.

    Raises:
        Refused: it has control characters.
    """
    if not text.isprintable():
        raise Refused(f"{text!r} has characters that IMAP cannot quote", Reason.IMPOSSIBLE)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.encode()


def atom(text: str) -> bytes:
    """A word that IMAP takes unquoted: the name of a partition or a server, a special-use attribute.

    Raises:
        Refused: it is none.
    """
    if not re.fullmatch(r"\\?[A-Za-z0-9$_.:-]+", text):
        raise Refused(f"{text!r} is not an IMAP atom", Reason.IMPOSSIBLE)
    return text.encode("ascii")


def text_of(value: Any) -> str:
    """A word of an answer as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _is_mailbox(flags: Any) -> bool:
    return _NO_MAILBOX.isdisjoint(flag.lower() for flag in flags)


def _refused(command: str, said: Any) -> Refused:
    text = text_of(said)
    return Refused(f"{command}: {text}", imap_reason(text))


def _not_let_in(server: Server, user: str | None, error: Exception) -> AutocreateError:
    if user is not None:
        return Refused(f"{server} does not let {server.admin!r} act for {user!r} ({error})")
    match login_refusal(str(error)):
        case LoginRefusal.NOT_CHECKED:
            return CannotCheck(
                f"{server} could not check the password of the administrator "
                f"{server.admin!r} ({error}): see whether what its sasl_pwcheck_method names "
                "(saslauthd?) runs"
            )
        case LoginRefusal.NO_PLAIN:
            return PlainNotOffered(
                f"{server} does not let the administrator {server.admin!r} in ({error}): "
                "it does not take SASL PLAIN on this connection"
            )
        case LoginRefusal.PASSWORD:
            return NotLetIn(
                f"{server} does not let the administrator {server.admin!r} in "
                f"({error}): compare [cyrus] admin and password_file with the server's"
            )
