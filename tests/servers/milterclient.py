"""The MTA's side of the milter protocol, version 6, raw: it shows what a filter really negotiates and answers.

Like an MTA it leaves out the steps that the filter has masked, and waits for no reply where the filter promised none;
both then count as `continue`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

ALL_ACTIONS = 0x1FF
ALL_PROTOCOL = 0x1FFFFF

# What a filter may ask of each step: leave it out, expect no reply to it.
STEPS = {
    b"C": (0x1, 0x1000),
    b"H": (0x2, 0x2000),
    b"M": (0x4, 0x4000),
    b"R": (0x8, 0x8000),
    b"T": (0x200, 0x10000),
    b"L": (0x20, 0x80),
    b"N": (0x40, 0x40000),
    b"B": (0x10, 0x80000),
    b"E": (0, 0),
}
RCPT_REJ = 0x800

VERDICTS = {
    b"c": "continue",
    b"a": "accept",
    b"r": "reject",
    b"t": "tempfail",
    b"y": "reply",
    b"d": "discard",
    b"s": "skip",
    b"4": "shutdown",
}


@dataclass(frozen=True)
class Reply:
    """`verdict` is a word of VERDICTS; code, enhanced and text are what a client is told, empty for `continue`.

    `sent` tells whether the filter was asked at all. `modifications` are the changes asked for at the end of a message.
    """

    verdict: str
    code: int = 0
    enhanced: str = ""
    text: str = ""
    sent: bool = True
    modifications: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Negotiated:
    version: int
    actions: int
    protocol: int
    symbols: Mapping[int, str]
    """The macros wanted by stage (0 connect, 1 helo, 2 envfrom, 3 envrcpt, 4 data, 5 eom, 6 eoh), if it says."""


class MilterClient:
    """One connection to a filter; `address` as Postfix writes it: unix:/path or inet:host:port."""

    def __init__(
        self,
        address: str,
        timeout: float = 30.0,
        actions: int = ALL_ACTIONS,
        protocol: int = ALL_PROTOCOL,
    ) -> None:
        kind, _, where = address.partition(":")
        if kind == "unix":
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(timeout)
            self._socket.connect(where)
        else:
            host, _, port = where.rpartition(":")
            self._socket = socket.create_connection((host, int(port)), timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self.negotiated = self._negotiate(actions, protocol)

    def __enter__(self) -> MilterClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.quit()

    def macros(self, step: bytes, macros: Mapping[str, str]) -> None:
        """Sends macros for a step; names as an MTA writes them: "i", "{rcpt_addr}"."""
        self._send(b"D", step + b"".join(_string(word) for pair in macros.items() for word in pair))

    def connect(
        self, host: str = "client.test", address: str = "127.0.0.1", port: int = 40000
    ) -> Reply:
        family = b"6" if ":" in address else b"4"
        return self._step(b"C", _string(host) + family + struct.pack("!H", port) + _string(address))

    def helo(self, name: str = "client.test") -> Reply:
        return self._step(b"H", _string(name))

    def envfrom(
        self, argument: str | bytes, macros: Mapping[str, str] | None = None, *esmtp: str
    ) -> Reply:
        return self._step(b"M", _strings(argument, *esmtp), macros)

    def envrcpt(
        self, argument: str | bytes, macros: Mapping[str, str] | None = None, *esmtp: str
    ) -> Reply:
        """`argument` is what stands after RCPT TO:, angle brackets and all."""
        return self._step(b"R", _strings(argument, *esmtp), macros)

    def data(self, macros: Mapping[str, str] | None = None) -> Reply:
        return self._step(b"T", b"", macros)

    def header(self, name: str, value: str) -> Reply:
        return self._step(b"L", _strings(name, value))

    def eoh(self) -> Reply:
        return self._step(b"N", b"")

    def body(self, chunk: bytes) -> Reply:
        return self._step(b"B", chunk)

    def eom(self, macros: Mapping[str, str] | None = None) -> Reply:
        return self._step(b"E", b"", macros)

    def abort(self) -> None:
        """The message ends here, the connection goes on."""
        self._send(b"A")

    def next_connection(self) -> None:
        """The client is gone, and the MTA keeps the filter's connection for the next one (SMFIC_QUIT_NC).

        A message must have been ended or aborted before: within one libmilter reads over it (mi_engine() of its
        engine.c), and then over the client's CONNECT too, to which no reply ever comes.
        """
        self._send(b"K")

    def quit(self) -> None:
        with contextlib.suppress(OSError):
            self._send(b"Q")
        self.close()

    def close(self) -> None:
        """Hangs up without a word."""
        self._file.close()
        self._socket.close()

    def _negotiate(self, actions: int, protocol: int) -> Negotiated:
        self._send(b"O", struct.pack("!III", 6, actions, protocol))
        command, payload = self._receive()
        if command != b"O":
            raise ConnectionError(f"the filter answered the negotiation with {command!r}")
        version, actions, protocol = struct.unpack("!III", payload[:12])
        symbols, rest = {}, payload[12:]
        while len(rest) > 4:
            names, _, following = rest[4:].partition(b"\0")
            symbols[struct.unpack("!I", rest[:4])[0]] = names.decode()
            rest = following
        return Negotiated(version, actions, protocol, symbols)

    def _step(self, step: bytes, payload: bytes, macros: Mapping[str, str] | None = None) -> Reply:
        masked, silent = STEPS[step]
        if self.negotiated.protocol & masked:
            return Reply("continue", sent=False)
        if macros:
            self.macros(step, macros)
        self._send(step, payload)
        if self.negotiated.protocol & silent:
            return Reply("continue")
        modifications: list[bytes] = []
        while True:
            command, answer = self._receive()
            if command in VERDICTS:
                return _reply(VERDICTS[command], answer, tuple(modifications))
            if command != b"p":  # "progress" only asks for patience
                modifications.append(command + answer)

    def _send(self, command: bytes, payload: bytes = b"") -> None:
        self._socket.sendall(struct.pack("!I", len(payload) + 1) + command + payload)

    def _receive(self) -> tuple[bytes, bytes]:
        head = self._file.read(5)
        if len(head) < 5:
            raise ConnectionError("the filter closed the connection")
        length = struct.unpack("!I", head[:4])[0] - 1
        payload = self._file.read(length)
        if len(payload) < length:
            raise ConnectionError("the filter closed the connection within a reply")
        return head[4:], payload


def reply_to(place: str, user: str) -> Reply:
    """What the milter at a place says of a user at example.org, in a session of its own."""
    with MilterClient(place) as client:
        client.connect()
        client.envfrom("<ann@client.test>")
        return client.envrcpt(f"<{user}@example.org>", {"{rcpt_mailer}": "lmtp"})


def _reply(verdict: str, answer: bytes, modifications: tuple[bytes, ...]) -> Reply:
    if verdict == "reject":
        return Reply(verdict, 550, "5.7.1", "Command rejected", modifications=modifications)
    if verdict == "tempfail":
        return Reply(
            verdict,
            451,
            "4.7.1",
            "Service unavailable - try again later",
            modifications=modifications,
        )
    if verdict == "reply":
        code, enhanced, text = [
            *answer.rstrip(b"\0").decode("utf-8", "replace").split(" ", 2),
            "",
            "",
        ][:3]
        # An MTA reads a percent sign as half of "%%".
        return Reply(
            verdict, int(code), enhanced, text.replace("%%", "%"), modifications=modifications
        )
    return Reply(verdict, modifications=modifications)


def _string(text: str | bytes) -> bytes:
    return (text.encode() if isinstance(text, str) else text) + b"\0"


def _strings(*texts: str | bytes) -> bytes:
    return b"".join(map(_string, texts))
