"""Create on login: a server of saslauthd's protocol, between Cyrus and whatever knows the passwords.

The answer is the password checker's own, passed on unchanged. After a yes the mailbox is created before
the answer goes out, within a timeout. If the checker cannot tell, the connection is closed without an
answer: saslauthd's clients take that for a temporary failure and not for a wrong password (SASL_FAIL,
not SASL_BADAUTH).
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Collection
from functools import partial

from autocreate import logs
from autocreate.errors import IncompleteRequest, MalformedRequest, Temporary
from autocreate.frontends.acceptor import Acceptor
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.listener import Listener
from autocreate.model import Answer, Login, Verdict
from autocreate.passwords import OK, PasswordChecker, StepwiseChecker
from autocreate.passwords import request as sasl_request
from autocreate.passwords.request import SaslauthdRequest
from autocreate.resilience.steps import BLOCKING, Steps, arrived
from autocreate.resilience.throttled_log import ThrottledLog
from autocreate.service.service import Service
from autocreate.statistics.recorder import Statistics

log = logging.getLogger(__name__)

# Seconds for a whole request. Cyrus writes it in one piece.
_READING = 5.0
_NOTHING = bytes(sasl_request.LONGEST_REQUEST)
_MINUTE = 60.0


class LoginServer:
    """Answers saslauthd's clients.

    Args:
        checker: checks the passwords.
        peers: the ids of the Unix users who may ask (SO_PEERCRED of unix(7)).
        requests: how many are answered at once; others wait to be accepted. Only half as many may wait
            for a mailbox, so that there is always room for logins that do not wait: those of
            administrators, by which mailboxes are created.
    """

    def __init__(
        self,
        listener: Listener,
        checker: PasswordChecker,
        peers: Collection[int],
        requests: int,
    ) -> None:
        self._ask = _asking(checker)
        self._acceptor = Acceptor(
            "login socket",
            listener,
            requests,
            peers=peers,
            hint=": see login.peers",
        )
        self._may_wait = threading.BoundedSemaphore(max(1, requests // 2))
        self._log = ThrottledLog(log, _MINUTE)

    def serve(self, gate: ServiceGate, failed: Callable[[BaseException], None]) -> None:
        """See `FrontEnd.serve`."""
        self._acceptor.start(lambda connection: self._answer(connection, gate), failed)

    def stop(self) -> None:
        """See `FrontEnd.stop`."""
        self._acceptor.stop()

    def _answer(self, connection: socket.socket, gate: ServiceGate) -> Steps[None]:
        request = bytearray(sasl_request.LONGEST_REQUEST)
        try:
            attempt = yield from _read(connection, memoryview(request))
            service = gate.admit()
            try:
                if service is not None:
                    yield from self._attend(connection, service, attempt, gate.statistics)
            finally:
                gate.leave(service)
        except MalformedRequest as error:
            self._log.warning("request", "a request at the login socket was dropped: %s", error)
        except Temporary as error:
            log.error("login not answered: %s", error)
        finally:
            request[:] = _NOTHING

    def _attend(
        self,
        connection: socket.socket,
        service: Service,
        attempt: SaslauthdRequest,
        statistics: Statistics,
    ) -> Steps[None]:
        begun = time.monotonic()
        try:
            answer = yield from self._ask(attempt)
        finally:
            attempt.wipe()
        if not answer.startswith(OK):
            log.debug("the password of %r is wrong", attempt.user)
            _reply(connection, answer)
            return
        login = attempt.subject
        try:
            verdict = service.recall_login(login)
            if verdict is None:
                yield BLOCKING
                verdict = self._look_after(service, login)
        finally:
            _reply(connection, answer)
        if verdict.answer is Answer.TEMPORARY:
            service.schedule_retry(login)
        milliseconds = (time.monotonic() - begun) * 1000
        statistics.count("login", verdict, milliseconds, login.address, attempt.client)
        logs.login(login, verdict, milliseconds, client=attempt.client)

    def _look_after(self, service: Service, login: Login) -> Verdict:
        if not self._may_wait.acquire(blocking=False):
            return service.log_in(login, timeout=0.0)
        try:
            return service.log_in(login)
        finally:
            self._may_wait.release()


def _asking(checker: PasswordChecker) -> Callable[[SaslauthdRequest], Steps[bytes]]:
    """How a checker is asked in steps."""
    if isinstance(checker, StepwiseChecker):
        return checker.ask

    def ask(attempt: SaslauthdRequest) -> Steps[bytes]:
        yield BLOCKING
        return checker.check(attempt)

    return ask


def _read(connection: socket.socket, room: memoryview) -> Steps[SaslauthdRequest]:
    """Read one request.

    Raises:
        MalformedRequest: it is not a request, or is not complete in time.
        OSError: the client disconnected before it asked, or did not ask in time.
    """
    until = time.monotonic() + _READING
    length = 0
    while True:
        receive = partial(connection.recv_into, room[length:], 0, socket.MSG_DONTWAIT)
        try:
            received = yield from arrived(connection, until, receive)
        except TimeoutError:
            if length:
                raise MalformedRequest(f"not complete after {_READING:g} s") from None
            raise TimeoutError(f"it sent nothing for {_READING:g} s") from None
        length += received
        if not length:
            raise ConnectionAbortedError("it sent nothing")  # autocreate doctor, for example
        try:
            return SaslauthdRequest(room[:length])
        except IncompleteRequest:
            if not received:
                raise


def _reply(connection: socket.socket, answer: bytes) -> None:
    """Send an answer, and disconnect. The buffer of a Unix socket has room for the longest, so this never waits.

    What is left to do is nothing to the client, which may wait for the end of the connection.
    """
    data = sasl_request.answer(answer)
    if connection.send(data, socket.MSG_DONTWAIT) < len(data):
        raise ConnectionAbortedError("it does not read its answer")
    connection.close()
