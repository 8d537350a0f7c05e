"""Scripts over ManageSieve (RFC 5804), by connections that act for one user after the other.

The administrator logs in and acts for the user (SASL PLAIN's authorization identity), and out again:
Cyrus starts a process for each connection, which takes longer than all that is asked of it. Every string
goes out as a literal, which nothing in it can end early; the client is our own for the reasons in
docs/decisions/.
"""

import base64
import contextlib
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from autocreate.breaker import Breaker
from autocreate.errors import Refused, Silent, Temporary, Unreachable
from autocreate.mailstore.imap import Server
from autocreate.mailstore.sievefiles import doubts
from autocreate.mailstore.wire import tls_context
from autocreate.model import Script
from autocreate.pool import Pool

T = TypeVar("T")

# Far more than an honest server sends.
_LONGEST_LINE = 8192
_LONGEST_LITERAL = 1 << 20
_MOST_LINES = 1000
_MOST_LITERALS = 10

_LITERAL = re.compile(rb"\{(\d{1,9})\+?\}$")
_STATUS = re.compile(
    rb'(?P<status>OK|NO|BYE)(?:\s+\((?P<code>(?:[^()"]|"(?:[^"\\]|\\.)*")*)\))?\s*(?P<text>.*)',
    re.IGNORECASE | re.DOTALL,
)
_MECHANISMS = re.compile(rb'"SASL"\s+"([^"]*)"', re.IGNORECASE)
# Cyrus 3.6 does not escape quotes in the names that it lists.
_LISTED = re.compile(rb'(?:"(?P<quoted>.*)"|\{\d+\+?\})(?P<active>\s+ACTIVE)?\s*', re.I | re.DOTALL)


class ManageSieve:
    """The ManageSieve service of a Cyrus. See `ScriptStore` for what each method promises.

    Args:
        server: where it is; its timeout is for all that is asked for one user.
        connections: how many may be open at once.
    """

    def __init__(self, server: Server, connections: int = 4) -> None:
        self._server = server
        self._breaker = Breaker(f"ManageSieve of {server}")
        wait = server.timeout / 2  # the other half is still worth having
        self._pool: Pool[Session] = Pool(partial(Session, server), connections, wait)

    def active(self, user: str) -> Script | None:
        """The script that filters the user's mail."""
        return self._acting_for(user, lambda session: _active(session.scripts()))

    def install(self, user: str, script: Script) -> None:
        """Put a script and make it the active one, unless the user has an active one."""

        def work(session: "Session") -> None:
            scripts = session.scripts()
            if _active(scripts):
                return
            if script.name not in scripts:
                session.offer(script)
                session.put(script)
            elif session.text_of(script.name) != script.text:
                raise Refused(f"{user!r} has another script of that name, which is left alone")
            session.activate(script.name)
            if not _active(session.scripts()):
                # Another MTA did the same at the same moment, and Cyrus ended with none active.
                session.activate(script.name)

        self._acting_for(user, work)

    def check(self, script: Script) -> tuple[str, ...]:
        """Does the server's compiler take the script?

        Cyrus's timsieved answers CHECKSCRIPT to those who have not logged in. It has to be so,
        since it lets nobody in who has no INBOX, and administrators commonly have none.
        """

        def work(session: "Session") -> None:
            try:
                session.check(b"keep;\r\n")
            except Refused as refusal:
                raise Temporary(
                    f"{self._server} checks no script before a login ({refusal})"
                ) from refusal
            session.check(script.text)

        self._run(work)
        # Of no use here, but perhaps to a Cyrus that creates natively by the same imapd.conf.
        return tuple(doubts(script))

    def close(self) -> None:
        """End every connection."""
        self._pool.close()

    def _acting_for(self, user: str, work: Callable[["Session"], T]) -> T:
        def whole(session: "Session") -> T:
            session.log_in(user)
            try:
                result = work(session)
            except Refused:
                session.log_out()
                raise
            session.log_out()
            return result

        return self._run(whole)

    def _run(self, work: Callable[["Session"], T]) -> T:
        def whole(session: "Session") -> T:
            session.allow(self._server.timeout)
            return work(session)

        return self._breaker.call(lambda: self._pool.run(whole))


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the server's, with the literals in it apart."""

    text: bytes
    literals: tuple[bytes, ...] = ()


class _Answer(NamedTuple):
    """What the server says to a command: OK, NO or BYE, why, and the lines before that."""

    status: str
    code: str
    text: str
    lines: list[_Line]


class Session:
    """A connection that is secured, and logged in from `log_in` until `log_out`.

    Raises, from every method:
        Unreachable: the connection is of no use any more; `Silent` if the time was up.
        Temporary: the server says that it cannot at present, or does not let us in.
        Refused: the server said NO, and would say so again.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._unread = b""
        # The ways to log in that it offers at present, by its greeting or, after STARTTLS, anew.
        self.mechanisms: frozenset[str] = frozenset()
        self.is_spent = False
        self.allow(server.timeout)
        with self._translated("connecting"):
            address = (server.host, server.port)
            self._socket = socket.create_connection(address, timeout=server.timeout)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._greeted()
            if server.tls != "none":
                self._secure()
        except BaseException:
            self.discard()
            raise

    def allow(self, seconds: float) -> None:
        """Whatever comes next must be over in this time, however slowly the server speaks."""
        self._until = time.monotonic() + seconds

    def log_in(self, user: str) -> None:
        """Act for a user, whose INBOX must stand."""
        if "\0" in user:
            raise Refused(f"user id {user!r} has a character that SASL cannot carry")
        words = "\0".join((user, self._server.admin, self._server.password)).encode()
        try:
            self._command("AUTHENTICATE", b"PLAIN", base64.b64encode(words))
        except Refused as refusal:
            # Which of the three is wrong Cyrus does not say; nor would it say that INBOX is missing.
            raise Temporary(
                f"{self._server} does not let {self._server.admin!r} act for {user!r} ({refusal}): "
                "compare [cyrus] admin and password_file with the server's"
            ) from refusal

    def log_out(self) -> None:
        """Act for the user no longer. Unless the server agrees, the session is spent."""
        try:
            self._command("UNAUTHENTICATE")
        except (Refused, Temporary):
            self.is_spent = True

    def close(self) -> None:
        """Say good-bye and drop the connection: timsieved 3.6 crashes if that is left unsaid."""
        with contextlib.suppress(OSError, Temporary, Refused):
            self.allow(1.0)
            self._command("LOGOUT")
        self.discard()

    def discard(self) -> None:
        """Drop the connection without a word: it may be out of step."""
        self._socket.close()

    def scripts(self) -> dict[str, bool]:
        """The user's scripts: is it the active one, by name."""
        found = {}
        for line in self._command("LISTSCRIPTS"):
            listed = _LISTED.fullmatch(line.text)
            if not listed:
                raise self._nonsense(line.text)
            name = line.literals[0] if line.literals else listed["quoted"] or b""
            found[_text(name)] = listed["active"] is not None
        return found

    def text_of(self, name: str) -> bytes:
        """A script as it is stored."""
        lines = self._command("GETSCRIPT", name.encode())
        if len(lines) != 1 or not lines[0].literals:
            raise self._nonsense(b"GETSCRIPT")
        return lines[0].literals[0]

    def check(self, text: bytes) -> None:
        """CHECKSCRIPT: raise Refused, with the lines, if the server's compiler does not take it."""
        try:
            self._command("CHECKSCRIPT", text)
        except Refused as refusal:
            errors = str(refusal).removeprefix("CHECKSCRIPT: ")
            raise Refused(f"it does not compile: {errors}") from refusal

    def offer(self, script: Script) -> None:
        """Make sure that the server will take a script, before it is sent to be kept.

        A server may leave off listening at a script that is too long for it: so HAVESPACE first.
        """
        self._command("HAVESPACE", script.name.encode(), len(script.text))
        self.check(script.text)

    def put(self, script: Script) -> None:
        """PUTSCRIPT: keep a script that was offered, byte for byte."""
        self._do("PUTSCRIPT", script.name.encode(), script.text)

    def activate(self, name: str) -> None:
        """SETACTIVE: from now on this script filters the user's mail."""
        self._do("SETACTIVE", name.encode())

    def _do(self, name: str, *arguments: bytes) -> None:
        """A command that has no good reason left to be refused: it is the server's trouble, and may pass."""
        try:
            self._command(name, *arguments)
        except Refused as refusal:
            raise Temporary(f"{self._server} cannot keep the script ({refusal})") from refusal

    def _greeted(self) -> None:
        """Read the capabilities, which the server tells unasked."""
        for line in self._judged("the greeting", self._answer()):
            if offer := _MECHANISMS.match(line.text):
                self.mechanisms = frozenset(_text(offer[1]).upper().split())

    def _secure(self) -> None:
        try:
            self._command("STARTTLS")
        except Refused as refusal:
            raise Unreachable(f"{self._server} offers no STARTTLS ({refusal})") from refusal
        if self._unread:
            raise Unreachable(f"{self._server} spoke before TLS was negotiated: a third party?")
        with self._translated("STARTTLS"):
            self._socket.settimeout(self._remaining())
            context = tls_context(self._server.ca_file)
            self._socket = context.wrap_socket(self._socket, server_hostname=self._server.host)
        self._greeted()

    def _command(self, name: str, *arguments: bytes | int) -> list[_Line]:
        """Send a command and return the lines of its answer, if the answer is OK."""
        words = [name.encode(), *map(_argument, arguments)]
        self._send(b" ".join(words) + b"\r\n")
        return self._judged(name, self._answer())

    def _judged(self, doing: str, answer: _Answer) -> list[_Line]:
        if answer.status == "OK":
            return answer.lines
        text = f"{doing}: {answer.text}" if answer.text else doing
        if answer.status == "BYE":
            raise Unreachable(f"{self._server} ended the session ({answer.code} {text})")
        if answer.code.upper().startswith("TRYLATER"):
            raise Temporary(f"{self._server} cannot at present ({text})")
        raise Refused(text)

    def _answer(self) -> _Answer:
        lines: list[_Line] = []
        while len(lines) < _MOST_LINES:
            line = self._line()
            if status := _STATUS.fullmatch(line.text):
                text = line.literals[-1] if line.literals else status["text"].strip(b'"')
                words = " ".join(_text(text).split())
                return _Answer(
                    _text(status["status"]).upper(), _text(status["code"] or b""), words, lines
                )
            lines.append(line)
        raise self._nonsense(b"more than %d lines" % _MOST_LINES)

    def _line(self) -> _Line:
        text = b""
        literals: list[bytes] = []
        while True:
            piece = self._until_line_end()
            text += piece
            literal = _LITERAL.search(piece)
            if literal is None:
                return _Line(text, tuple(literals))
            if int(literal[1]) > _LONGEST_LITERAL or len(literals) == _MOST_LITERALS:
                raise self._nonsense(text)
            literals.append(self._exactly(int(literal[1])))

    def _until_line_end(self) -> bytes:
        while b"\n" not in self._unread:
            if len(self._unread) > _LONGEST_LINE:
                raise self._nonsense(self._unread)
            self._receive()
        line, _, self._unread = self._unread.partition(b"\n")
        return line.removesuffix(b"\r")

    def _exactly(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._receive()
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def _receive(self) -> None:
        with self._translated("reading"):
            self._socket.settimeout(self._remaining())
            received = self._socket.recv(65536)
        if not received:
            raise Unreachable(f"{self._server} dropped the connection")
        self._unread += received

    def _send(self, data: bytes) -> None:
        with self._translated("writing"):
            self._socket.settimeout(self._remaining())
            self._socket.sendall(data)

    def _remaining(self) -> float:
        remaining = self._until - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        return remaining

    def _nonsense(self, said: bytes) -> Unreachable:
        return Unreachable(f"{self._server} answered nonsense: {said[:100]!r}")

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise Silent(
                f"{self._server} was not done within {self._server.timeout:g} s ({doing})"
            ) from error
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(
                f"{self._server} has a certificate that is not trusted "
                f"({error.verify_message}): see [cyrus] ca_file and host"
            ) from error
        except OSError as error:
            raise Unreachable(f"{self._server} cannot be reached ({doing}): {error}") from error


def _active(scripts: dict[str, bool]) -> Script | None:
    return next((Script(name) for name, is_active in scripts.items() if is_active), None)


def _argument(value: bytes | int) -> bytes:
    """A number, or a string as a literal: whatever is in it, it ends where its length says."""
    if isinstance(value, int):
        return b"%d" % value
    return b"{%d+}\r\n%b" % (len(value), value)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
