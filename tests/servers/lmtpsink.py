"""An LMTP server that takes everything and remembers to whom it was: where an MTA delivers, without a Cyrus."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

from .scripted import ScriptedServer

_OFFERS = ["PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8"]
_GREETING = "".join(f"250-{it}\r\n" for it in _OFFERS) + "250 HELP"


class LmtpSink(ScriptedServer):
    """An LMTP server. It offers SMTPUTF8, as Cyrus does from 3.12 on.

    `recipients` are the RCPT arguments in the order they came, `subjects` those of their messages.
    """

    def __init__(self) -> None:
        super().__init__()
        self.recipients: list[str] = []
        self.subjects: list[str] = []

    def serve(self, client: socket.socket) -> None:
        with client.makefile("rb") as lines:

            def read() -> str:
                return lines.readline().decode("utf-8", "replace")

            def say(text: str) -> None:
                client.sendall(text.encode() + b"\r\n")

            say("220 sink LMTP")
            accepted: list[str] = []
            while line := read().rstrip("\r\n"):
                match line.split(" ")[0].split(":")[0].upper():
                    case "LHLO":
                        say(_GREETING)
                    case "RCPT":
                        found = re.match(r"(?i)RCPT TO:\s*<(.*)>", line)
                        accepted.append(found[1] if found else line)
                        say("250 2.1.5 ok")
                    case "DATA":
                        self._take(accepted, read, say)
                        accepted = []
                    case "QUIT":
                        say("221 2.0.0 bye")
                        return
                    case _:
                        say("250 2.0.0 ok")

    def _take(
        self, recipients: list[str], read: Callable[[], str], say: Callable[[str], None]
    ) -> None:
        say("354 go ahead")
        message = "".join(iter(read, ".\r\n"))
        found = re.search(r"(?mi)^Subject: (.*?)\r?$", message)
        self.subjects += [found[1] if found else ""] * len(recipients)
        self.recipients += recipients
        for _ in recipients:
            say("250 2.0.0 ok")
