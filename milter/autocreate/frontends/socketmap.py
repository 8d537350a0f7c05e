"""The socket map: Postfix or Sendmail asks whether a recipient exists before it asks any milter.

The answer is that of the milter about the same recipient, whose mailbox is not created yet. A map that asks
Cyrus, such as its smmapd, knows no new user, and no milter is asked about whom it refuses.
"""

import contextlib
import logging
import socket
import time
from collections.abc import Callable
from functools import partial

from autocreate import logs
from autocreate.errors import MalformedLookup
from autocreate.frontends import map_protocol
from autocreate.frontends.acceptor import Acceptor
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.listener import Listener
from autocreate.frontends.map_protocol import NOTFOUND, PERM, TEMP, Lookup
from autocreate.model import Answer, Recipient, Verdict
from autocreate.resilience.steps import BLOCKING, Steps, arrived
from autocreate.resilience.throttled_log import ThrottledLog
from autocreate.service.service import Service

log = logging.getLogger(__name__)

# Seconds for a whole request, and for the beginning of the next. MTAs write a request in one piece, and keep
# the connection for further ones: Postfix for 10 s, Sendmail as long as its client stays, which it lets wait
# for an hour between two commands. If its connection is gone, Postfix makes another, but Sendmail says 451.
_READING = 5.0
_IDLE = 3900.0
_MINUTE = 60.0
_HOUR = 3600.0

_NOT_AN_ADDRESS = Verdict(Answer.UNKNOWN, "not an address, but a whole domain")


class SocketMap:
    """Answers lookups.

    Args:
        connections: how many are answered at once. As many more may be idle, which take no thread.
    """

    def __init__(self, listener: Listener, connections: int) -> None:
        self._acceptor = Acceptor("map socket", listener, connections)
        self._malformed_log = ThrottledLog(log, _MINUTE)
        self._foreign_log = ThrottledLog(log, _HOUR)

    def serve(self, gate: ServiceGate, failed: Callable[[BaseException], None]) -> None:
        """See `FrontEnd.serve`."""
        self._acceptor.start(lambda connection: self._answer(connection, gate), failed)

    def stop(self) -> None:
        """See `FrontEnd.stop`."""
        self._acceptor.stop()

    def _answer(self, connection: socket.socket, gate: ServiceGate) -> Steps[None]:
        """Answer one request after the other."""
        received = bytearray()
        while True:
            try:
                lookup = yield from _read(connection, received)
            except MalformedLookup as error:
                self._malformed_log.warning(
                    "request", "a request at the map socket is malformed: %s", error
                )
                # Where it ends is not known, so this connection is of no more use.
                _write(connection, map_protocol.reply(PERM))
                return
            if lookup is None:
                return
            yield BLOCKING
            status = TEMP
            with gate.enter() as service:
                if service is not None:
                    status = self._status(service, lookup, gate)
            _write(connection, map_protocol.reply(status, lookup.key))

    def _status(self, service: Service, lookup: Lookup, gate: ServiceGate) -> str:
        begun = time.monotonic()
        recipient = Recipient(lookup.key)
        verdict = service.check(recipient) if lookup.is_address else _NOT_AN_ADDRESS
        if verdict.suppressed:
            status = map_protocol.status_in_dry_run(verdict, service.find_mailbox(recipient))
        else:
            status = map_protocol.status_of(verdict)
        milliseconds = (time.monotonic() - begun) * 1000
        gate.statistics.count("socketmap", verdict, milliseconds, lookup.key)
        logs.lookup(recipient, verdict, milliseconds, map=lookup.name, said=status)
        if verdict.foreign and status == NOTFOUND:
            self._foreign_log.warning(
                "foreign",
                "the map socket says NOTFOUND about %r: %s. If its domain is yours, add it to milter.domains",
                lookup.key,
                verdict.reason,
            )
        return status


def _read(connection: socket.socket, received: bytearray) -> Steps[Lookup | None]:
    """Read one request; None if the client has no more.

    Args:
        received: what was received and not read yet.

    Raises:
        MalformedLookup: it is not a request, or is not complete in time.
        OSError: the client disconnected within a request, or has sent nothing for too long.
    """
    until = time.monotonic() + (_READING if received else _IDLE)
    receive = partial(connection.recv, map_protocol.LONGEST_REQUEST, socket.MSG_DONTWAIT)
    while (body := map_protocol.body_of(received)) is None:
        try:
            more = yield from arrived(connection, until, receive)
        except TimeoutError:
            if received:
                raise MalformedLookup(f"not complete after {_READING:g} s") from None
            raise TimeoutError(f"it sent nothing for {_IDLE:g} s") from None
        if not more:
            if received:
                raise ConnectionAbortedError("it left within a request")
            return None
        if not received:
            until = time.monotonic() + _READING
        received += more
    return map_protocol.read(body)


def _write(connection: socket.socket, answer: bytes) -> None:
    """Send an answer. The buffer of a socket has room for one, so this never waits.

    Raises:
        ConnectionAbortedError: it has none, because the client does not read. An answer that was left out
            would give the client the next one for it.
    """
    connection.settimeout(None)  # with one, Python would wait for room
    sent = 0
    with contextlib.suppress(BlockingIOError):
        sent = connection.send(answer, socket.MSG_DONTWAIT)
    if sent < len(answer):
        raise ConnectionAbortedError("it does not read its answers")
