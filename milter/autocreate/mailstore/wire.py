"""Connections to an IMAP server: secured before a password can be sent, every answer limited in time and bytes.

How imaplib reads from its socket differs between versions of Python. So `Wire` reads by itself. It also splits the
responses, which takes imaplib twice as long. imaplib keeps the state of the session, and every untagged response until
somebody asks for it: `forget` removes those that came before a question, or before TLS.
"""

import contextlib
import imaplib
import logging
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import Any

from autocreate.mailstore.ports import ImapPort
from autocreate.resilience.answer_limit import LimitedStream

log = logging.getLogger(__name__)


# RFC 9051, section 9: tagged and untagged responses, and what ends a line that goes on behind a literal.
_RESPONSE = re.compile(
    rb"(?P<tag>\S+) (?:(?P<number>\d+) )?(?P<type>[A-Z-]+)(?: (?P<data>.*))?", re.DOTALL
)
_CODE = re.compile(rb"\[(?P<type>[A-Z-]+)(?: (?P<data>[^\]]*))?\]")
_LITERAL = re.compile(rb"\{(\d+)\}\Z")


class NoStarttls(OSError):
    """A server offers no STARTTLS.

    Args:
        greeting: what it says it is.
    """

    def __init__(self, greeting: str) -> None:
        super().__init__("STARTTLS is not offered")
        self.greeting = greeting


class AllPortsFailed(OSError):
    """Every port of a server failed, each with its own error."""

    def __init__(self, failures: Sequence[tuple[ImapPort, OSError]]) -> None:
        super().__init__("; ".join(f"{port}: {error}" for port, error in failures))
        self.errors = tuple(error for _, error in failures)


class Dialer:
    """Connects to one IMAP server. Used from several threads at once.

    The port that worked last is tried first. Another is tried only if nobody answers there or
    the server there offers no STARTTLS. A certificate that is not trusted ends the attempt: another
    port would not make it better.

    Args:
        ports: where it may be reached, the first choice first.
        ca_file: the certificates to trust, or None for the system's.
        timeout: seconds for all connections of an attempt together, for TLS, and for the greeting.
    """

    def __init__(
        self, host: str, ports: Sequence[ImapPort], ca_file: str | None, timeout: float
    ) -> None:
        self._host = host
        self._ports = tuple(ports)
        self._ca_file = ca_file
        self._timeout = timeout
        self._last: ImapPort | None = None

    @property
    def port(self) -> int:
        """The number of the port that worked last, or of the first choice."""
        return (self._last or self._ports[0]).number

    def dial(self) -> "Wire":
        """A connection that is secured.

        Raises:
            AllPortsFailed: each of several ports failed.
            OSError: the only port failed; or TLS did (`ssl.SSLError`), the time is up (`TimeoutError`), or the
                server sends too much (`AnswerTooLong`).
            imaplib.IMAP4.error: the server talks no good IMAP, or does not want to talk.
        """
        failures: list[tuple[ImapPort, OSError]] = []
        for port in sorted(self._ports, key=lambda port: port != self._last):
            try:
                connection = self._connect(port.number)
            except OSError as error:
                failures.append((port, error))
                continue
            try:
                wire = self._secure(connection, port)
            except NoStarttls as error:
                failures.append((port, error))
                continue
            self._remember(port, failures)
            return wire
        raise failures[0][1] if len(failures) == 1 else AllPortsFailed(failures)

    def _connect(self, port: int) -> socket.socket:
        share = self._timeout / len(self._ports)
        connection = socket.create_connection((self._host, port), share)
        connection.settimeout(self._timeout)
        # imaplib sends a literal in two pieces; without this each costs 40 ms of delayed ACK.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _secure(self, connection: socket.socket, port: ImapPort) -> "Wire":
        with contextlib.ExitStack() as undo:
            undo.callback(connection.close)
            if port.tls == "implicit":
                context = tls_context(self._ca_file)
                connection = context.wrap_socket(connection, server_hostname=self._host)
                undo.callback(connection.close)
            wire = Wire(connection, self._host, self._timeout)
            undo.callback(wire.shutdown)
            if port.tls == "starttls":
                wire.secure(tls_context(self._ca_file), self._timeout)
            undo.pop_all()
        return wire

    def _remember(self, port: ImapPort, failures: Sequence[tuple[ImapPort, OSError]]) -> None:
        if port == self._last:
            return
        if len(self._ports) > 1:
            level, now = (logging.INFO, "") if self._last is None else (logging.WARNING, "now ")
            failed = "".join(f"; {other}: {error}" for other, error in failures)
            log.log(level, "IMAP server %s: %s%s%s", self._host, now, port, failed)
        self._last = port


class Wire(imaplib.IMAP4):
    """A connection to an IMAP server that has said its greeting.

    Args:
        connection: to the server.
        host: whose certificate is expected.
        timeout: seconds for the greeting.
    """

    sock: socket.socket

    def __init__(self, connection: socket.socket, host: str, timeout: float) -> None:
        self._stream = LimitedStream(connection, timeout)
        super().__init__(host, timeout=timeout)

    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:
        """Take over the connection. imaplib calls this, as it calls the next four."""
        self.host = host
        self.port = port
        self.sock = self._stream.socket

    def read(self, size: int) -> bytes:
        """So many bytes, fewer if the connection ends."""
        return self._stream.read(size)

    def readline(self) -> bytes:
        """A line with its end, less if the connection ends."""
        return self._stream.readline()

    def send(self, data: Any) -> None:
        """Send all of it, in what is left of the time for the answer."""
        self._stream.send(data)

    def shutdown(self) -> None:
        """Drop the connection without a word."""
        self._stream.close()

    def allow(self, seconds: float) -> None:
        """Begin to count the time and the bytes of an answer."""
        self._stream.allow(seconds)

    def ask(
        self, commands: Sequence[bytes], seconds: float
    ) -> Iterator[tuple[str, bytes, dict[str, list[Any]]]]:
        """Send commands in one write: status, text and untagged responses of each.

        Args:
            seconds: for each answer.

        Raises:
            imaplib.IMAP4.abort: the connection ended.
        """
        tags = [self._new_tag() for _ in commands]
        data = b"".join(b"%b %b\r\n" % pair for pair in zip(tags, commands, strict=True))
        # Cyrus writes each answer by itself, and may wait for our acknowledgement of the one before.
        self._stream.acknowledges_at_once = len(tags) > 1
        try:
            self.send(data)
        except OSError as error:
            raise self.abort(f"socket error: {error}") from error
        for tag in tags:
            self.allow(seconds)
            status, said = self._answered(tag)
            untagged, self.untagged_responses = self.untagged_responses, {}
            yield status, said, untagged

    def _answered(self, tag: bytes) -> tuple[str, bytes]:
        answers: dict[bytes, Any] = self.tagged_commands
        while answers[tag] is None:
            self._check_bye()
            self._get_response()
        status, texts = answers.pop(tag)
        return status, texts[0]

    def forget(self) -> None:
        """Remove the untagged responses so far. Those that count come after the command they answer."""
        self.untagged_responses.clear()

    def _get_response(self, *_: object) -> bytes | None:
        """Read a response and keep it where imaplib looks for it. imaplib calls this, and so does `Connection`.

        Returns:
            None for a request to go on ("+"), else the line.

        Raises:
            imaplib.IMAP4.abort: it is no response, or the connection ended.
        """
        line = self._line()
        if line.startswith(b"+"):
            self.continuation_response: Any = line[2:]
            return None
        found = _RESPONSE.fullmatch(line)
        if found is None:
            raise self.abort(f"unexpected response: {line[:200]!r}")
        tag, number, kind, data = found.groups()
        name = kind.decode("ascii")
        if tag != b"*":
            answers: dict[bytes, Any] = self.tagged_commands
            if tag not in answers or number or data is None:
                raise self.abort(f"unexpected tagged response: {line[:200]!r}")
            answers[tag] = (name, [data])
        else:
            data = b" ".join(filter(None, (number, data)))
            while literal := _LITERAL.search(data):
                self._keep(name, (data, self.read(int(literal[1]))))
                data = self._line()
            self._keep(name, data)
        if name in ("OK", "NO", "BAD") and (code := _CODE.match(data)):
            self._keep(code["type"].decode("ascii"), code["data"])
        return line

    def _keep(self, name: str, data: Any) -> None:
        self.untagged_responses.setdefault(name, []).append(b"" if data is None else data)

    def _line(self) -> bytes:
        line = self._stream.readline()
        if not line.endswith(b"\r\n"):
            what = f"unterminated line: {line[:200]!r}" if line else "EOF"
            raise self.abort(f"socket error: {what}")
        return line[:-2]

    def capability(self) -> tuple[str, list[Any]]:
        """CAPABILITY: what the server offers now, whatever it said before it was asked."""
        self.forget()
        return super().capability()

    def log_in(self, words: bytes) -> None:
        """AUTHENTICATE PLAIN (RFC 4616).

        Args:
            words: authorization identity, authentication identity and password, with NUL between.

        Raises:
            ConnectionError: the server says yes without them, or asks for them twice.
            imaplib.IMAP4.error: it says no; `IMAP4.abort` if it ends the connection.
        """
        if self.state != "NONAUTH":
            raise ConnectionError("it lets everybody in (PREAUTH)")
        self.forget()
        unsent = [words]

        def told(_challenge: bytes) -> bytes:
            if not unsent:
                raise ConnectionError("it asks for the password again")
            return unsent.pop()

        try:
            self.authenticate("PLAIN", told)
        except Exception:
            if self.state != "AUTH":
                raise
            # It said yes. imaplib of Python 3.14 asks for the capabilities next, and that failed.
        if unsent:
            self.state = "NONAUTH"
            raise ConnectionError("it says yes to a login without the password")

    def secure(self, context: ssl.SSLContext, timeout: float) -> None:
        """STARTTLS (RFC 9051, 6.2.1). Nothing that the server said before counts afterwards.

        Args:
            timeout: seconds for all of it.

        Raises:
            NoStarttls: the server does not offer it, or does not do it.
            ConnectionError: somebody spoke before TLS was negotiated.
        """
        self.allow(timeout)
        if "STARTTLS" not in self.capabilities:
            raise NoStarttls(self._greeting())
        try:
            status, _ = self.xatom("STARTTLS")
        except self.abort:
            raise
        except self.error as refusal:  # BAD, or a greeting that forbids it (PREAUTH)
            raise NoStarttls(self._greeting()) from refusal
        if status != "OK":
            raise NoStarttls(self._greeting())
        self._stream.secure(context, self.host)
        self.sock = self._stream.socket
        self.welcome = b""
        _, told = self.capability()
        self.capabilities = tuple(_text(told[-1]).upper().split())

    def _greeting(self) -> str:
        return _text(self.welcome)


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """TLS 1.2 or later, the certificate and its host name verified.

    Args:
        ca_file: the certificates to trust, or None for the system's.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _text(said: Any) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said or "")
