"""An SMTP (and LMTP) client for tests: it sends exactly what it is told, valid or not, and keeps the dialogue."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True)
class Reply:
    """`enhanced` is the status code of RFC 3463 (or empty); `text` is what follows it, lines joined by \\n."""

    code: int
    enhanced: str
    text: str

    @property
    def ok(self) -> bool:
        return self.code < 400

    def __str__(self) -> str:
        return " ".join(filter(None, [str(self.code), self.enhanced, self.text]))


class Dialogue:
    """One connection, greeted but not yet introduced."""

    def __init__(self, host: str, port: int, timeout: float = 30.0) -> None:
        self.transcript: list[str] = []
        self.capabilities: list[str] = []
        self._socket = socket.create_connection((host, port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self.greeting = self._reply()

    def __enter__(self) -> Dialogue:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hangs up without a word."""
        self._file.close()
        self._socket.close()

    def ehlo(self, name: str = "client.test", verb: str = "EHLO") -> Reply:
        reply = self.command(f"{verb} {name}")
        self.capabilities = reply.text.split("\n")[1:]
        return reply

    def lhlo(self, name: str = "client.test") -> Reply:
        return self.ehlo(name, "LHLO")

    def mail(self, sender: str | bytes = "", *esmtp: str) -> Reply:
        return self._path(b"MAIL FROM:", sender, esmtp)

    def rcpt(self, raw_address: str | bytes, *esmtp: str) -> Reply:
        """The address is put between angle brackets, unless it brings its own."""
        return self._path(b"RCPT TO:", raw_address, esmtp)

    def data(self, message: str | bytes) -> Reply:
        """DATA and, if it is let, the message; the last reply."""
        return self.data_replies(message, 1)[-1]

    def data_replies(self, message: str | bytes, recipients: int) -> list[Reply]:
        """LMTP answers once for each accepted recipient."""
        reply = self.command("DATA")
        if reply.code != 354:
            return [reply]
        lines = re.sub(rb"\r?\n", b"\r\n", _bytes(message)).removesuffix(b"\r\n")
        self._send(re.sub(rb"(?m)^\.", b"..", lines) + b"\r\n.")
        return [self._reply() for _ in range(recipients)]

    def rset(self) -> Reply:
        return self.command("RSET")

    def quit(self) -> Reply:
        return self.command("QUIT")

    def command(self, line: str | bytes) -> Reply:
        self._send(_bytes(line))
        return self._reply()

    def _path(self, verb: bytes, address: str | bytes, esmtp: tuple[str, ...]) -> Reply:
        path = _bytes(address)
        if not path.startswith(b"<"):
            path = b"<" + path + b">"
        return self.command(b" ".join([verb + path, *map(_bytes, esmtp)]))

    def _send(self, line: bytes) -> None:
        self.transcript += ["C: " + part for part in line.decode("utf-8", "replace").split("\r\n")]
        self._socket.sendall(line + b"\r\n")

    def _reply(self) -> Reply:
        lines = []
        while True:
            line = self._file.readline(8192).decode("utf-8", "replace")
            self.transcript.append("S: " + line.rstrip("\r\n"))
            if not re.match(r"\d{3}[ \r\n-]", line):
                raise ConnectionError(
                    "no reply but " + repr(line) + "\n" + "\n".join(self.transcript)
                )
            lines.append(line)
            if line[3] != "-":
                break
        texts = [line[4:].rstrip("\r\n") for line in lines]
        code, enhanced = int(lines[-1][:3]), ""
        found = re.match(r"[245]\.\d{1,3}\.\d{1,3}(?= |$)", texts[-1])
        if found:
            enhanced = found[0]
            texts = [text.removeprefix(enhanced).lstrip() for text in texts]
        return Reply(code, enhanced, "\n".join(texts))


def send(
    host: str, port: int, sender: str, recipients: list[str], message: str | bytes
) -> list[Reply]:
    """A whole message: the replies to its recipients and, if one was accepted, to its data."""
    with Dialogue(host, port) as smtp:
        smtp.ehlo()
        smtp.mail(sender)
        replies = [smtp.rcpt(recipient) for recipient in recipients]
        if any(reply.ok for reply in replies):
            replies.append(smtp.data(message))
        smtp.quit()
        return replies


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
