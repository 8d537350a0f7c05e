"""A session with a MUPDATE master (RFC 3656): FIND, UPDATE and NOOP, and nothing that changes its list.

Differences of Cyrus's mupdate.c from the RFC, all measured with 3.6: strings come as literals of the form `{5+}`; the
greeting ends with the master's URL, or `(master)`; after UPDATE no FIND is allowed; changes come doubled.
"""

import base64
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from autocreate.errors import NotLetIn, PlainNotOffered, Refused, ServerTimeout, Unreachable
from autocreate.mailstore.server import CONNECTION_ERRORS, Exchange, Server
from autocreate.mailstore.server_stream import ServerStream
from autocreate.murder.names import Entry, State
from autocreate.resilience.exception_map import ExceptionMap

# More than any response has: a tag, its kind, a name, a location and an access control list.
_MOST_WORDS = 64
# Of the greeting, and of the answer to a command that is not UPDATE.
_MOST_RESPONSES = 100

_WORD = re.compile(rb'[ \t]*(?:"((?:[^"\\]|\\.)*)"|\{(\d{1,9})\+?\}$|([^\s"{]+))')
_ESCAPED = re.compile(rb"\\(.)")

_NUMBER_OF_STRINGS = {State.ACTIVE: 3, State.RESERVED: 2, State.DELETED: 1}


@dataclass(frozen=True, slots=True)
class MupdateServer(Server):
    """Where a MUPDATE server is, and how to log in to it as one of its `admins`. `tls` is `starttls` or `none`.

    Args:
        is_slave: a frontend's, which has a copy of the master's list and asks nobody.
    """

    is_slave: bool = False

    def __str__(self) -> str:
        return f"MUPDATE {'slave' if self.is_slave else 'master'} {self.host}:{self.port}"


_ERRORS: ExceptionMap[Exchange] = {
    **CONNECTION_ERRORS,
    ssl.SSLCertVerificationError: lambda at, error: Unreachable(
        f"{at.server} has a certificate that is not trusted ({error.verify_message}): "
        "see [cyrus.murder] mupdate and ca_file"
    ),
    TimeoutError: lambda at, _: ServerTimeout(
        f"{at.server} did not answer within {at.server.timeout:g} s ({at.doing})"
    ),
}


class Response(NamedTuple):
    """One response: its tag (`*` for none), what it is, and its strings."""

    tag: str
    kind: str
    strings: tuple[bytes, ...]

    @property
    def text(self) -> str:
        return b" ".join(self.strings).decode("utf-8", "replace")


class Mupdate:
    """A connection that is logged in. After `listed` was called only `changes` may be.

    Raises, from every method:
        Unreachable: the connection is of no use any more; `ServerTimeout` if it was for want of an answer.
        Refused: the master said NO or BAD.
    """

    is_spent = False

    def __init__(self, server: MupdateServer) -> None:
        """Connect securely, and log in. Raises NotLetIn if the master does not take the name and password."""
        self._server = server
        self._number = 0
        self._update_tag = ""
        self._stream = ServerStream(server, _ERRORS)
        try:
            self._greeted()
            if server.tls != "none":
                self._secure()
            self._log_in()
        except BaseException:
            self.discard()
            raise

    def find(self, name: str) -> Entry | None:
        """FIND: what the master knows of one stored name; None if it does not know it."""
        found = [self._entry(it) for it in self._command("FIND", name.encode())]
        if any(entry.name != name for entry in found):
            raise self._stream.nonsense(f"FIND {name}: {found[0]}")
        known = [entry for entry in found if entry.state is not State.DELETED]
        return known[-1] if known else None

    def listed(self) -> Iterator[Entry]:
        """UPDATE: every name, as they come in. The connection then follows all changes: see `changes`."""
        self._update_tag = self._sent("UPDATE")
        return self._streamed(self._update_tag)

    def changes(self) -> Iterator[Entry]:
        """What has changed since the last call. The NOOP has the master send it at once."""
        return self._streamed(self._sent("NOOP"))

    def discard(self) -> None:
        """Drop the connection without a word: it may be out of step."""
        self._stream.close()

    def close(self) -> None:
        """End the connection. The master needs no good-bye."""
        self.discard()

    def _greeted(self) -> None:
        self._mechanisms: frozenset[str] = frozenset()
        self._offers_tls = False
        for _ in range(_MOST_RESPONSES):
            said = self._response()
            match said.kind:
                case "AUTH":
                    self._mechanisms = frozenset(said.text.upper().split())
                case "STARTTLS":
                    self._offers_tls = True
                case "OK" if said.text.startswith("MUPDATE "):
                    if said.strings[-1] != b"(master)" and not self._server.is_slave:
                        raise Unreachable(
                            f"{self._server} is no master but a slave of {said.strings[-1].decode()}: "
                            "name the master in [cyrus.murder] mupdate"
                        )
                    return
                case "NO" | "BYE" | "OK" | "BAD":
                    raise Unreachable(f"{self._server} does not talk MUPDATE: {said.text}")
        raise self._stream.nonsense("no end of the greeting")

    def _secure(self) -> None:
        if not self._offers_tls:
            raise Unreachable(f"{self._server} offers no STARTTLS")
        self._command("STARTTLS")
        self._stream.start_tls()
        self._greeted()

    def _log_in(self) -> None:
        server = self._server
        if "PLAIN" not in self._mechanisms:
            raise PlainNotOffered(f"{server} does not take SASL PLAIN on this connection")
        words = base64.b64encode(f"\0{server.admin}\0{server.password}".encode())
        try:
            self._command("AUTHENTICATE", b"PLAIN", words)
        except Refused as refusal:
            raise NotLetIn(
                f"{server} does not let {server.admin!r} in ({refusal}): compare admin and password_file "
                f"of {'[cyrus]' if server.is_slave else '[cyrus.murder]'} with its users and its `admins`"
            ) from refusal

    def _command(self, name: str, *strings: bytes) -> list[Response]:
        """Send a command; the responses before its OK."""
        tag = self._sent(name, *strings)
        said: list[Response] = []
        for _ in range(_MOST_RESPONSES):
            response = self._response()
            if self._is_done(response, tag):
                return said
            said.append(response)
        raise self._stream.nonsense(f"no end of the answer to {name}")

    def _streamed(self, tag: str) -> Iterator[Entry]:
        """Entries until a command is done, each with a limit of its own: there may be any number."""
        while not self._is_done(response := self._response(), tag):
            if response.tag != self._update_tag:
                raise self._stream.nonsense(f"{response.tag} {response.kind}, unasked")
            yield self._entry(response)
            self._stream.allow(self._server.timeout)

    def _is_done(self, response: Response, tag: str) -> bool:
        if response.kind == "BYE":
            raise Unreachable(f"{self._server} ended the session ({response.text})")
        if response.tag != tag or response.kind not in ("OK", "NO", "BAD"):
            return False
        if response.kind != "OK":
            raise Refused(f"{self._server}: {response.text}")
        return True

    def _entry(self, response: Response) -> Entry:
        try:
            state = State(response.kind)
            name, *rest = (string.decode("utf-8", "replace") for string in response.strings)
        except ValueError as error:
            raise self._stream.nonsense(f"{response.kind} {response.text}") from error
        if len(response.strings) != _NUMBER_OF_STRINGS[state]:
            raise self._stream.nonsense(f"{response.kind} {response.text}")
        return Entry.at(name, state, rest[0]) if rest else Entry(name, state)

    def _sent(self, name: str, *strings: bytes) -> str:
        if not self._update_tag and not self._stream.is_quiet():
            # BYE, or answers are out of step with commands.
            self._stream.allow(self._server.timeout)
            said = self._response()
            raise Unreachable(f"{self._server} ended the session ({said.kind} {said.text})")
        self._number += 1
        tag = f"A{self._number}"
        literals = b"".join(b" {%d+}\r\n%b" % (len(it), it) for it in strings)
        self._stream.allow(self._server.timeout)
        self._stream.send(f"{tag} {name}".encode() + literals + b"\r\n", doing=name)
        return tag

    def _response(self) -> Response:
        words: list[bytes] = []
        while True:
            line = self._stream.line()
            position = 0
            while match := _WORD.match(line, position):
                position = match.end()
                quoted, size, atom = match.groups()
                if len(words) == _MOST_WORDS:
                    raise self._stream.nonsense(words[1].decode("utf-8", "replace"))
                if size is not None:
                    words.append(self._stream.exactly(int(size)))
                    break
                words.append(_ESCAPED.sub(rb"\1", quoted) if quoted is not None else atom)
            else:
                if line[position:].strip() or len(words) < 2:
                    raise self._stream.nonsense(line.decode("utf-8", "replace"))
                tag, kind, *strings = words
                return Response(_text(tag), _text(kind).upper(), tuple(strings))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
