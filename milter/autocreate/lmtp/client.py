"""Cyrus's lmtpd, asked what it will say at delivery: MAIL, RCPT and RSET over a kept connection (RFC 2033).

A question sends no message and changes nothing. The only messages that are sent are welcome messages, each over
a connection of its own. Each answer is bounded in time and bytes.
"""

import contextlib
import re
import socket
from collections.abc import Iterator, Sequence
from functools import partial

from autocreate.errors import Refused, ServerTimeout, Temporary, Unreachable
from autocreate.lmtp.replies import (
    Forecast,
    LmtpReply,
    Outcome,
    Server,
    crashes_on,
    forecast,
    refused_by_mta,
    server_of,
)
from autocreate.model import Envelope
from autocreate.resilience.answer_limit import AnswerTooLong, LimitedStream
from autocreate.resilience.breaker import Breaker
from autocreate.resilience.exception_map import ExceptionMap, map_exceptions
from autocreate.resilience.pool import Pool

_MOST = 1 << 16  # bytes of one exchange; far more than a real server sends
_LINE = re.compile(rb"(\d{3})(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")
_NEVER_IN_PATH = frozenset(" <>")

_CRASH = (
    "lmtpd crashes on the default domain in capitals: have the MTA write domains in lower case "
    "(lmtp_generic_maps, as in contrib/postfix/main.cf), then set lmtp.lowercase_domains"
)


class Lmtpd:
    """The LMTP service of a Cyrus. Safe to use from several threads.

    Args:
        address: "unix:/path" or "inet:HOST:PORT".
        connections: how many may be open at once; each occupies an lmtpd process.
        timeout: seconds to wait for a free connection, for connecting, and for an answer, each.
        default_domain: of a Cyrus with virtual domains; empty without.
    """

    def __init__(
        self, address: str, connections: int, timeout: float, default_domain: str = ""
    ) -> None:
        self._address = address
        self._timeout = timeout
        self._default_domain = default_domain
        self._breaker = Breaker(f"lmtpd at {address}")
        self._pool: Pool[Session] = Pool(partial(Session, address, timeout), connections, timeout)
        self._server = Server()

    @property
    def longest(self) -> float:
        """How many seconds `ask` takes at most."""
        return 3 * self._timeout

    def ask(self, recipient: str, envelope: Envelope) -> Forecast:
        """How delivery to a recipient will end.

        Args:
            recipient: the address as the MTA will send it, without brackets.

        Raises:
            Temporary: lmtpd cannot be asked now.
        """
        domain = recipient.rpartition("@")[2]
        work = partial(self._ask, recipient=recipient, domain=domain, envelope=envelope)
        try:
            return self._breaker.call(lambda: self._pool.run(work))
        except Temporary:
            if crashes_on(self._server, domain, self._default_domain):
                return Forecast(Outcome.CRASH, _CRASH)
            raise

    def deliver(self, user: str, message: bytes) -> None:
        """Deliver a message to a user's INBOX, over a connection of its own.

        Args:
            user: as Cyrus knows it.
            message: its lines end in CRLF.

        Raises:
            Temporary: it is not known to be delivered: lmtpd cannot be reached, or did not answer.
            Refused: lmtpd does not take it.
        """
        # A kept connection may have ended unnoticed, and what became of a message would be unknown.
        session = self._breaker.call(lambda: Session(self._address, self._timeout))
        try:
            session.deliver(user, message)
        finally:
            session.close()

    def snapshot(self) -> dict[str, int]:
        """How many connections are `busy`, `idle`, and may be open (`size`)."""
        return self._pool.snapshot()

    def close(self) -> None:
        """End every connection."""
        self._pool.close()

    def _ask(self, session: "Session", recipient: str, domain: str, envelope: Envelope) -> Forecast:
        self._server = session.server
        if crashes_on(session.server, domain, self._default_domain):
            return Forecast(Outcome.CRASH, _CRASH)
        if refusal := refused_by_mta(session.server, envelope, recipient):
            return refusal
        mail, answer = session.ask(recipient, envelope)
        found = forecast(mail, answer)
        if found.outcome is Outcome.NO_ANSWER and not mail.is_positive:
            raise Unreachable(found.why)  # the same for every recipient
        return found


class Session:
    """A connection, greeted and introduced.

    Raises, from every method:
        Unreachable: the connection cannot be used any more; `ServerTimeout` after a timeout.
    """

    def __init__(self, address: str, timeout: float) -> None:
        self.address = address
        self.timeout = timeout
        self.is_spent = False
        with self._exceptions():
            self._stream = LimitedStream(_connected(address, timeout), timeout, _MOST)
        try:
            (greeting,) = self._exchange([])
            (offer,) = self._exchange([b"LHLO autocreate"])
            if greeting[-1].code != 220 or not offer[-1].is_positive:
                raise Unreachable(
                    f"lmtpd at {address} does not accept sessions: {greeting[-1]}; {offer[-1]}"
                )
        except BaseException:
            self.discard()
            raise
        # The last line of Cyrus's answer to LHLO is a session's name, the first the server's.
        self.server = server_of(greeting[-1].text, [it.text for it in offer[1:]])

    def ask(self, recipient: str, envelope: Envelope) -> tuple[LmtpReply, LmtpReply | None]:
        """The replies to MAIL and RCPT; None if the connection was closed at RCPT."""
        is_utf8 = not (recipient.isascii() and envelope.sender.isascii())
        mail = b"MAIL FROM:<>"
        if envelope.size and "SIZE" in self.server.offers:
            mail += b" SIZE=%d" % envelope.size
        if is_utf8 and envelope.smtputf8 and "SMTPUTF8" in self.server.offers:
            mail += b" SMTPUTF8"
        self._stream.allow(self.timeout)
        if not self._stream.is_quiet():
            # 421, or replies are out of step with commands.
            raise Unreachable(f"lmtpd at {self.address} replied unasked: {self._reply()[-1]}")
        replies = self._exchange([mail, b"RCPT TO:<" + _path(recipient) + b">", b"RSET"])
        first = next(replies)[-1]
        if first.code == 421:  # it had been idle too long, or is shutting down
            raise Unreachable(f"lmtpd at {self.address} ended the session: {first}")
        try:
            second = next(replies)[-1]
        except ServerTimeout:
            raise
        except Unreachable:
            self.is_spent = True
            return first, None
        try:
            self.is_spent = second.code == 421 or not next(replies)[-1].is_positive
        except Unreachable:
            self.is_spent = True
        return first, second

    def deliver(self, recipient: str, message: bytes) -> None:
        """MAIL, RCPT and DATA for one recipient (RFC 2033). Raises `Refused` if one of them is refused."""
        data = re.sub(rb"(?m)^\.", b"..", message)
        if not data.endswith(b"\r\n"):
            data += b"\r\n"
        for command in (
            b"MAIL FROM:<>",
            b"RCPT TO:<" + _path(recipient) + b">",
            b"DATA",
            data + b".",
        ):
            self._stream.allow(self.timeout)
            (lines,) = self._exchange([command])
            reply = lines[-1]
            if not (reply.is_positive or (command == b"DATA" and reply.code == 354)):
                what = "the message" if command.endswith(b"\r\n.") else command.decode()
                raise Refused(f"lmtpd at {self.address} refused {what}: {reply}")

    def begin(self) -> None:
        """Check that it takes mail from us, without a recipient."""
        self._stream.allow(self.timeout)
        (first,), _ = [lines[-1:] for lines in self._exchange([b"MAIL FROM:<>", b"RSET"])]
        if not first.is_positive:
            raise Unreachable(forecast(first, None).why)

    def discard(self) -> None:
        """Close the connection without QUIT: it may be out of step."""
        self._stream.close()

    def close(self) -> None:
        """Send QUIT and close the connection."""
        with contextlib.suppress(OSError):
            self._stream.allow(1.0)
            self._stream.send(b"QUIT\r\n")
        self.discard()

    def _exchange(self, commands: Sequence[bytes]) -> Iterator[list[LmtpReply]]:
        """Send commands and yield the lines of each reply: in one write if the server can take that."""
        if not commands:
            yield self._reply()
        elif hasattr(self, "server") and "PIPELINING" in self.server.offers:
            self._send(b"\r\n".join(commands) + b"\r\n")
            for _ in commands:
                yield self._reply()
        else:
            for command in commands:
                self._send(command + b"\r\n")
                yield self._reply()

    def _reply(self) -> list[LmtpReply]:
        lines: list[LmtpReply] = []
        while True:
            line = self._line()
            match = _LINE.fullmatch(line)
            if not match:
                raise Unreachable(f"lmtpd at {self.address} sent an invalid reply: {line[:100]!r}")
            text = (match[3] or b"").decode("utf-8", "replace")
            enhanced = _ENHANCED.match(text)
            lines.append(
                LmtpReply(
                    int(match[1]),
                    enhanced[1] if enhanced else "",
                    text[enhanced.end() :] if enhanced else text,
                )
            )
            if match[2] != b"-":
                return lines

    def _line(self) -> bytes:
        with self._exceptions():
            return self._stream.line()

    def _send(self, data: bytes) -> None:
        with self._exceptions():
            self._stream.send(data)

    def _exceptions(self) -> contextlib.AbstractContextManager[None]:
        return map_exceptions(_ERRORS, self)


_ERRORS: ExceptionMap[Session] = {
    TimeoutError: lambda it, _: ServerTimeout(
        f"lmtpd at {it.address} did not answer within {it.timeout:g} s"
    ),
    AnswerTooLong: lambda it, error: Unreachable(
        f"lmtpd at {it.address} sent an invalid reply: {error}"
    ),
    EOFError: lambda it, _: Unreachable(f"lmtpd at {it.address} dropped the connection"),
    OSError: lambda it, error: Unreachable(f"lmtpd at {it.address} cannot be reached: {error}"),
}


def _connected(address: str, timeout: float) -> socket.socket:
    kind, _, where = address.partition(":")
    if kind == "unix":
        client = socket.socket(socket.AF_UNIX)
        try:
            client.settimeout(timeout)
            client.connect(where)
        except BaseException:
            client.close()
            raise
        return client
    host, _, port = where.rpartition(":")
    client = socket.create_connection((host.strip("[]"), int(port)), timeout)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def _path(recipient: str) -> bytes:
    if not recipient.isprintable() or not _NEVER_IN_PATH.isdisjoint(recipient):
        raise Temporary(f"lmtpd cannot be asked about {recipient!r}")
    return recipient.encode()
