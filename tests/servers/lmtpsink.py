"""An LMTP server that takes everything and remembers to whom it was: where an MTA delivers, without a Cyrus."""

from __future__ import annotations

import re
import socketserver
import threading
from types import TracebackType

from .common import HOST


class LmtpSink:
    """Listens between `__enter__` and `__exit__`. It offers SMTPUTF8, as Cyrus does from 3.12 on.

    `recipients` are the RCPT arguments in the order they came, `subjects` those of their messages.
    """

    host = HOST

    def __init__(self) -> None:
        self.recipients: list[str] = []
        self.subjects: list[str] = []
        offers = ["PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8"]
        self._server = _Server((HOST, 0), _Session)
        self._server.recipients, self._server.subjects = self.recipients, self.subjects
        self._server.greeting = "".join(f"250-{it}\r\n" for it in offers) + "250 HELP"
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> LmtpSink:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    recipients: list[str]
    subjects: list[str]
    greeting: str


class _Session(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        self._say("220 sink LMTP")
        accepted: list[str] = []
        while line := self._line().rstrip("\r\n"):
            match line.split(" ")[0].split(":")[0].upper():
                case "LHLO":
                    self._say(self.server.greeting)
                case "RCPT":
                    found = re.match(r"(?i)RCPT TO:\s*<(.*)>", line)
                    accepted.append(found[1] if found else line)
                    self._say("250 2.1.5 ok")
                case "DATA":
                    self._say("354 go ahead")
                    message = "".join(iter(self._line, ".\r\n"))
                    found = re.search(r"(?mi)^Subject: (.*?)\r?$", message)
                    self.server.subjects += [found[1] if found else ""] * len(accepted)
                    self.server.recipients += accepted
                    for _ in accepted:
                        self._say("250 2.0.0 ok")
                    accepted = []
                case "QUIT":
                    self._say("221 2.0.0 bye")
                    return
                case _:
                    self._say("250 2.0.0 ok")

    def _line(self) -> str:
        return self.rfile.readline().decode("utf-8", "replace")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")
