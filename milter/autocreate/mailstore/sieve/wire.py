"""The connection of ManageSieve (RFC 5804): commands, answers, TLS, and a time limit for all of it."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from autocreate.errors import Refused, ServerTimeout, Unreachable
from autocreate.mailstore.refusals import sieve_reason
from autocreate.mailstore.server import CONNECTION_ERRORS, Exchange, Server
from autocreate.mailstore.server_stream import ServerStream
from autocreate.mailstore.wire import NoStarttls
from autocreate.resilience.exception_map import ExceptionMap

# Far more than an honest server sends, and few enough to keep: the shortest line has one byte.
_MOST_LINES = 1000
_MOST_LITERALS = 10

_LITERAL = re.compile(rb"\{(\d{1,9})\+?\}$")
_STATUS = re.compile(
    rb'(?P<status>OK|NO|BYE)(?:\s+\((?P<code>(?:[^()"]|"(?:[^"\\]|\\.)*")*)\))?\s*(?P<text>.*)',
    re.IGNORECASE | re.DOTALL,
)
_MECHANISMS = re.compile(rb'"SASL"\s+"([^"]*)"', re.IGNORECASE)
_IMPLEMENTATION = re.compile(rb'"IMPLEMENTATION"\s+"([^"]*)"', re.IGNORECASE)


_ERRORS: ExceptionMap[Exchange] = {
    **CONNECTION_ERRORS,
    TimeoutError: lambda at, _: ServerTimeout(
        f"{at.server} did not finish within {at.server.timeout:g} s ({at.doing})"
    ),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the server's, with the literals in it apart."""

    text: bytes
    literals: tuple[bytes, ...] = ()


class _Answer(NamedTuple):
    """What the server says to a command: OK, NO or BYE, why, and the lines before that."""

    status: str
    code: str
    text: str
    lines: list[Line]


class SieveWire:
    """A connection that is secured. What it waits for is over within the time allowed.

    Args:
        server: where it is; `timeout` is for the connection.

    Raises, from every method:
        Unreachable: the connection is of no use any more; `ServerTimeout` if the time was up.
        Refused: the server said NO; whether for good, says its reason.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._stream = ServerStream(server, _ERRORS)
        try:
            self._greeted()
            if server.tls != "none":
                self._secure()
        except BaseException:
            self.discard()
            raise

    def allow(self, seconds: float) -> None:
        """Start to count the time and the bytes of all that comes next."""
        self._stream.allow(seconds)

    def discard(self) -> None:
        """Drop the connection without a word: it may be out of step."""
        self._stream.close()

    def command(self, name: str, *arguments: bytes | int) -> list[Line]:
        """Send a command and return the lines of its answer, if the answer is OK."""
        if not self._stream.is_quiet():  # BYE, or answers are out of step with commands
            unasked = self._answer()
            if unasked.status == "BYE":
                self._judged(name, unasked)
            raise self.nonsense(f"{unasked.status} {unasked.text}, unasked".encode())
        words = [name.encode(), *map(_argument, arguments)]
        self._stream.send(b" ".join(words) + b"\r\n")
        return self._judged(name, self._answer())

    def nonsense(self, said: bytes) -> Unreachable:
        """The error for an answer that makes no sense."""
        return self._stream.nonsense(said)

    def _greeted(self) -> None:
        """Read the capabilities, which the server sends unasked. After STARTTLS those from before do not count."""
        # The ways to log in that it offers now.
        self.mechanisms: frozenset[str] = frozenset()
        self._implementation = ""
        for line in self._judged("the greeting", self._answer()):
            if offer := _MECHANISMS.match(line.text):
                self.mechanisms = frozenset(as_text(offer[1]).upper().split())
            elif told := _IMPLEMENTATION.match(line.text):
                self._implementation = as_text(told[1])

    def _secure(self) -> None:
        try:
            self.command("STARTTLS")
        except Refused as refusal:
            missing = NoStarttls(self._implementation)
            raise Unreachable(f"{self.server} offers no STARTTLS ({refusal})") from missing
        self._stream.start_tls()
        self._greeted()

    def _judged(self, doing: str, answer: _Answer) -> list[Line]:
        if answer.status == "OK":
            return answer.lines
        text = f"{doing}: {answer.text}" if answer.text else doing
        if answer.status == "BYE":
            raise Unreachable(f"{self.server} ended the session ({answer.code} {text})")
        raise Refused(text, sieve_reason(answer.code, answer.text), answer.text)

    def _answer(self) -> _Answer:
        lines: list[Line] = []
        while len(lines) < _MOST_LINES:
            line = self._line()
            if status := _STATUS.fullmatch(line.text):
                text = line.literals[-1] if line.literals else status["text"].strip(b'"')
                words = " ".join(as_text(text).split())
                return _Answer(
                    as_text(status["status"]).upper(), as_text(status["code"] or b""), words, lines
                )
            lines.append(line)
        raise self.nonsense(b"more than %d lines" % _MOST_LINES)

    def _line(self) -> Line:
        text = b""
        literals: list[bytes] = []
        while True:
            piece = self._stream.line()
            text += piece
            literal = _LITERAL.search(piece)
            if literal is None:
                return Line(text, tuple(literals))
            if len(literals) == _MOST_LITERALS:
                raise self.nonsense(text)
            literals.append(self._stream.exactly(int(literal[1])))


def _argument(value: bytes | int) -> bytes:
    """A number, or a string as a literal: whatever is in it, it ends where its length says."""
    if isinstance(value, int):
        return b"%d" % value
    return b"{%d+}\r\n%b" % (len(value), value)


def as_text(data: bytes) -> str:
    """Bytes of the server's as text, whatever they are."""
    return data.decode("utf-8", "replace")
