"""The milter: RCPT in, verdict out. pymilter and libmilter are known here and nowhere else.

What libmilter and the MTAs expect was measured: see docs/decisions/. Two rules follow. A recipient that
passes is answered CONTINUE, because ACCEPT would end the events of the whole message. And over TCP each
step keeps its reply, without which Postfix waits 40 ms for each message. Over a Unix socket the MTA waits
for nothing but the answers about recipients: see decision 0049.
"""

import logging
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import Milter as pymilter  # noqa: N813 -- its name on PyPI

from autocreate import logs
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.listener import Listener
from autocreate.lmtp.replies import envelope_of
from autocreate.model import Answer, Envelope, Recipient, Reply, Verdict
from autocreate.service.service import Service

log = logging.getLogger(__name__)

_NAME = "autocreate"


class Milter:
    """Speaks the milter protocol on a listening socket, in threads of libmilter's own."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def serve(self, gate: ServiceGate, failed: Callable[[BaseException], None]) -> None:
        """See `FrontEnd.serve`."""

        def run() -> None:
            try:
                pymilter.runmilter(_NAME, f"fd:{self._listener.fileno()}", 0, False)
                failed(RuntimeError("libmilter has returned"))
            except BaseException as error:
                failed(error)

        is_local = self._listener.socket.family == socket.AF_UNIX
        pymilter.factory = lambda: _Session(gate, is_local)
        # A thread of its own, because libmilter's signal handling conflicts with Python's in the main one.
        threading.Thread(target=run, name="libmilter", daemon=True).start()

    def stop(self) -> None:
        """See `FrontEnd.stop`."""
        self._listener.stop()

    def share(self) -> int:
        """See `Listener.share`."""
        return self._listener.share()


class _Session(pymilter.Base):
    """One connection of the MTA. Its callbacks may come from different threads, one at a time.

    Args:
        is_local: it is a Unix socket.
    """

    def __init__(self, gate: ServiceGate, is_local: bool) -> None:
        self._gate = gate
        self._is_local = is_local
        self._sees_refused = False
        self._silent = 0
        self._client = ""
        self._envelope = Envelope()

    def negotiate(self, options: list[int]) -> int:
        """Ask for the steps below, and for no right to change the message.

        pymilter's own version would keep every action; what `set_flags` clears has no effect.
        """
        offered = options[1]
        answer: int = super().negotiate(options)
        options[0] = 0
        if self._is_local:
            self._silent = offered & _SILENT
            options[1] |= self._silent | (offered & pymilter.P_NODATA)
        if self._gate.service.rules.dry_run:
            self._sees_refused = bool(offered & pymilter.P_RCPT_REJ)
            options[1] |= offered & pymilter.P_RCPT_REJ
        return answer

    def connect(self, hostname: str, family: int, address: Any) -> int:
        self._client = str(address[0] if isinstance(address, tuple) else address or hostname)
        return self._nothing(pymilter.P_NR_CONN)

    def envfrom_bytes(self, sender: bytes, *parameters: bytes) -> int:
        words = [it.decode("utf-8", "surrogateescape") for it in (sender, *parameters)]
        self._envelope = envelope_of(words[0], words[1:])
        return self._nothing(pymilter.P_NR_MAIL)

    def envfrom(self, *_arguments: str) -> int:
        """Never called; its presence makes pymilter ask the MTA for the step."""
        return _CONTINUE

    def envrcpt_bytes(self, argument: bytes, *_parameters: bytes) -> int:
        # Whatever goes wrong, SystemExit included, must not cross into libmilter, which would hang.
        try:
            return self._recipient(argument.decode("utf-8", "surrogateescape"))
        except BaseException:
            log.exception("a defect of this program, at a recipient")
            return self._reply(Answer.TEMPORARY.reply)

    def envrcpt(self, *_arguments: str) -> int:
        """Never called; its presence makes pymilter ask the MTA for the step."""
        return _CONTINUE

    def data(self) -> int:
        return _CONTINUE

    def _recipient(self, argument: str) -> int:
        begun = time.monotonic()
        mailer = self._macro("{rcpt_mailer}")
        is_refused = False
        if self._sees_refused and mailer == _REFUSED_MAILER and (code := self._refusal()):
            # The MTA ignores the answer. A reload may have ended dry run since the connection began.
            if not _UNKNOWN_CODE.fullmatch(code) or not self._gate.service.rules.dry_run:
                return _CONTINUE
            is_refused = True
        service = self._gate.admit()
        if service is None:
            return self._reply(Answer.TEMPORARY.reply)
        try:
            verdict = self._verdict(service, argument, mailer, is_refused)
        finally:
            self._gate.leave(service)
        milliseconds = (time.monotonic() - begun) * 1000
        self._gate.statistics.count("milter", verdict, milliseconds, argument, self._client)
        logs.verdict(
            argument,
            verdict,
            milliseconds,
            client=self._client,
            sender=self._envelope.sender,
            queue_id=self._macro("i") or "",
        )
        return self._reply(verdict.reply)

    def _verdict(
        self, service: Service, argument: str, mailer: str | None, is_refused: bool
    ) -> Verdict:
        if is_refused:
            return service.verify(Recipient(argument, envelope=self._envelope, is_refused=True))
        rewritten = self._macro("{rcpt_addr}")
        return service.recall(argument, rewritten, mailer) or service.verify(
            Recipient(
                argument,
                rewritten=rewritten,
                mailer=mailer,
                # Postfix gives the mailer of every recipient by SMTP, and of no other.
                refusable=mailer is not None,
                envelope=self._envelope,
            )
        )

    def _reply(self, reply: Reply | None) -> int:
        if reply is None:
            return _CONTINUE
        self.setreply(*reply)
        return _REJECT if reply.code.startswith("5") else _TEMPFAIL

    def _refusal(self) -> str:
        """The enhanced code by which the MTA has refused this recipient; "" if it has not.

        For a recipient in virtual_alias_domains that has an alias, Postfix sends `error`, too, and the code
        with a text behind it.
        """
        host = self._macro("{rcpt_host}") or ""
        return host if _CODE.fullmatch(host) else ""

    def _nothing(self, step: int) -> int:
        """To a step that decides nothing: no reply if the MTA agreed to wait for none, else CONTINUE."""
        return _NOREPLY if self._silent & step else _CONTINUE

    def _macro(self, name: str) -> str | None:
        """A macro's value; None if the MTA did not send it; empty if it is not UTF-8."""
        try:
            value = self.getsymval(name)
        except UnicodeDecodeError:
            return ""
        return None if value is None else str(value)


# What the MTA sends for a recipient that it has refused (SMFIP_RCPT_REJ, see smfi_setsymlist in libmilter's
# documentation, and smtpd_milter_eval() in Postfix's smtpd/smtpd_milter.c).
_REFUSED_MAILER = "error"
_CODE = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_UNKNOWN_CODE = re.compile(r"[45]\.1\.[01]")  # RFC 3463: a bad destination mailbox address

_CONTINUE: int = pymilter.CONTINUE
_NOREPLY: int = pymilter.NOREPLY
_REJECT: int = pymilter.REJECT
_TEMPFAIL: int = pymilter.TEMPFAIL

# The steps without a reply where the MTA offers that.
_SILENT: int = pymilter.P_NR_CONN | pymilter.P_NR_MAIL
