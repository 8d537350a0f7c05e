"""The connections of a front end: accepted up to a bound, each a conversation in steps, none for ever.

Local users can connect as often as they like. What they can cost is bounded here: descriptors and
threads (`most`), time (`seconds`), the log (one line per user and hour), and the processor while there
are no descriptors left (a pause). Mail must go on meanwhile.

One thread accepts, and goes on with whichever conversation the kernel has something for (epoll(7)). A
conversation that is about to wait in another way says so, and is gone on with in a thread of a pool.
"""

import errno
import logging
import math
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from autocreate.frontends.listener import Listener, peer_uid
from autocreate.resilience.steps import AGAIN, BLOCKING, LATER, Readable, Steps
from autocreate.resilience.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

Converse = Callable[[socket.socket], Steps[None]]
Failed = Callable[[BaseException], None]

_HOUR = 3600.0
_PAUSE = 0.1  # seconds after a failure to accept
_MOST_EVENTS = 64  # that are looked at before deadlines are
_FOR_ONCE = select.EPOLLIN | select.EPOLLONESHOT


@dataclass(slots=True, eq=False)
class _Client:
    connection: socket.socket  # the conversation may close it
    uid: int
    deadline: float  # by time.monotonic(), as all times here
    steps: Steps[None]
    wanted: Readable | None = None


class Acceptor:
    """Accepts connections and has a conversation with each.

    Args:
        name: of the socket, for the log: "login socket".
        most: how many conversations go on at once. Others wait to be accepted. As many again may be idle.
        seconds: after so long a connection is shut down, whatever it does. None: the conversation sees to it.
        peers: the ids of the Unix users who may connect (SO_PEERCRED of unix(7)); None: everybody.
            Anybody else is disconnected at once.
        most_per_peer: how many connections of one Unix user are open at once; further ones are
            disconnected at once, so that one user leaves room for another.
        hint: what the administrator can do about a user who may not connect.
    """

    def __init__(
        self,
        name: str,
        listener: Listener,
        most: int,
        seconds: float | None = None,
        peers: Collection[int] | None = None,
        most_per_peer: int | None = None,
        hint: str = "",
    ) -> None:
        self._name = name
        self._listener = listener
        self._most = most
        self._seconds = math.inf if seconds is None else seconds
        self._peers = None if peers is None else frozenset(peers)
        self._most_per_peer = most_per_peer
        self._hint = hint
        self._lock = threading.Lock()
        self._accepting = threading.Lock()  # held to accept, and to stop listening
        self._clients: set[_Client] = set()
        self._waiting: dict[int, _Client] = {}  # by the descriptor that is waited for
        self._idle = 0  # how many of these are
        self._later: deque[_Client] = deque()
        self._per_peer: dict[int, int] = {}
        self._accepts = True
        self._pause = 0.0  # until then nothing is accepted
        self._next_look = math.inf  # when the deadlines are looked at
        self._is_stopping = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._ready = select.epoll()
        self._pool = ThreadPoolExecutor(most, thread_name_prefix=name.replace(" ", "-"))
        self._log = ThrottledLog(log, _HOUR)

    def start(self, converse: Converse, failed: Failed) -> None:
        """Accept in a thread of its own until `stop`.

        Args:
            converse: begins a conversation with a client. The connection is closed after it.
            failed: called with the error if nothing can be accepted any more.
        """
        # Another process may have the same listening socket, and take what was announced to this one.
        os.set_blocking(self._listener.fileno(), False)
        self._ready.register(self._wake, select.EPOLLIN)
        self._ready.register(self._listener.fileno(), select.EPOLLIN)

        def serve() -> None:
            try:
                self._serve(converse)
            except BaseException as error:
                failed(error)
            finally:
                self._pool.shutdown(wait=False)

        threading.Thread(target=serve, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """Accept no more connections. Conversations that are not idle are had to their end."""
        with self._accepting:
            self._is_stopping = True
            # What is inherited stays open elsewhere, and would be announced here for ever.
            with suppress(OSError, ValueError):
                self._ready.unregister(self._listener.fileno())
            self._listener.stop()
        os.eventfd_write(self._wake, 1)

    def _serve(self, converse: Converse) -> None:
        listener = self._listener.fileno()
        now = time.monotonic()
        while True:
            for descriptor, _ in self._ready.poll(self._timeout(now), _MOST_EVENTS):
                if descriptor == self._wake:
                    os.eventfd_read(self._wake)
                elif descriptor == listener:
                    self._accept(converse)
                elif client := self._heard(descriptor):
                    self._go_on(client)
            now = time.monotonic()
            if now >= self._next_look:
                self._end_overdue(now)
            if self._later:
                self._try_again()
            if self._is_stopping:
                for client in self._idle_ones():
                    self._disconnect(client, "this process ends")
                if not self._clients:
                    return
            elif not self._accepts and now >= self._pause:
                self._choose_whether_to_accept()

    def _timeout(self, now: float) -> float | None:
        """Seconds until something must be done though nothing happens."""
        next_look = self._next_look
        if self._pause > now:
            next_look = min(next_look, self._pause)
        if self._later:
            next_look = min(next_look, now + AGAIN)
        return None if next_look == math.inf else max(0.0, next_look - now)

    # -- accepting ---------------------------------------------------------------------------

    def _accept(self, converse: Converse) -> None:
        """Accept what waits, as far as there is room, and begin the conversations."""
        while self._has_room():
            try:
                with self._accepting:
                    if self._is_stopping:
                        return
                    connection, _ = self._listener.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._fail_to_accept(error)
                return
            if client := self._welcome(connection, converse):
                self._go_on(client)
        self._choose_whether_to_accept()

    def _fail_to_accept(self, error: OSError) -> None:
        if error.errno in (errno.EINVAL, errno.EBADF):
            self.stop()  # the listener was shut down, or closed
            return
        self._log.log(
            logging.ERROR,
            error.errno,
            "cannot accept a connection at the %s: %s",
            self._name,
            error,
        )
        # Out of descriptors, for example; there may soon be some again.
        self._pause = time.monotonic() + _PAUSE
        self._choose_whether_to_accept()

    def _choose_whether_to_accept(self) -> None:
        with self._lock:
            accepts = self._has_room() and time.monotonic() >= self._pause
            if accepts != self._accepts and not self._is_stopping:
                self._accepts = accepts
                with suppress(OSError, ValueError):  # it is being stopped
                    events = select.EPOLLIN if accepts else 0
                    self._ready.modify(self._listener.fileno(), events)

    def _has_room(self) -> bool:
        # Whoever is accepted now would take the turn of those who wait for it.
        return not self._later and len(self._clients) - self._idle < self._most

    def _welcome(self, connection: socket.socket, converse: Converse) -> _Client | None:
        uid = peer_uid(connection) if self._peers is not None else -1
        if not self._is_welcome(uid):
            connection.close()
            return None
        deadline = time.monotonic() + self._seconds
        client = _Client(connection, uid, deadline, converse(connection))
        with self._lock:
            self._clients.add(client)
            self._per_peer[uid] = self._per_peer.get(uid, 0) + 1
            self._next_look = min(self._next_look, deadline)
        return client

    def _is_welcome(self, uid: int) -> bool:
        if self._peers is None:
            return True
        if uid not in self._peers:
            self._log.warning(uid, "uid %d may not use the %s%s", uid, self._name, self._hint)
            return False
        if self._most_per_peer and self._per_peer.get(uid, 0) >= self._most_per_peer:
            self._log.warning(
                (uid, "many"), "uid %d has too many connections to the %s", uid, self._name
            )
            return False
        return True

    # -- conversations -----------------------------------------------------------------------

    def _go_on(self, client: _Client, error: BaseException | None = None) -> None:
        """Do the next steps of a conversation; of each only one thread does."""
        if not self._step(client, error):
            self._later.append(client)

    def _try_again(self) -> None:
        """Go on with those that wait for their turn, until one has to wait again."""
        while self._later:
            client = self._later.popleft()
            if not self._step(client):
                self._later.appendleft(client)
                return

    def _step(
        self, client: _Client, error: BaseException | None = None, *, may_block: bool = False
    ) -> bool:
        """Do the next steps of a conversation. Returns False if it waits for its turn."""
        while True:
            try:
                wanted = client.steps.throw(error) if error else next(client.steps)
            except StopIteration:
                self._close(client)
                return True
            except TimeoutError as late:
                self._log_closed(client, str(late))
                self._close(client)
                return True
            except OSError as left:
                # Said by the kernel of every client that leaves early, and so in few words.
                self._log.log(
                    logging.INFO, "left", "a client of the %s disconnected: %s", self._name, left
                )
                self._close(client)
                return True
            except BaseException as defect:
                what = f"a defect of this program, at the {self._name}"
                self._log.log(logging.ERROR, type(defect).__name__, what, exc_info=True)
                self._close(client)
                return True
            error = None
            if isinstance(wanted, Readable):
                self._wait(client, wanted)
                return True
            if wanted is LATER:
                return False
            if not may_block:
                self._have_a_thread(client)
                return True

    def _have_a_thread(self, client: _Client) -> None:
        def go_on() -> None:
            if not self._step(client, may_block=True):
                self._later.append(client)
            os.eventfd_write(self._wake, 1)

        try:
            self._pool.submit(go_on)
        except RuntimeError as error:  # it waits for a thread that is there
            self._log.log(logging.ERROR, "thread", "at the %s: %s", self._name, error)

    def _wait(self, client: _Client, wanted: Readable) -> None:
        descriptor = wanted.socket.fileno()
        with self._lock:
            client.wanted = wanted
            self._waiting[descriptor] = client
            self._idle += wanted.is_idle
            self._next_look = min(self._next_look, wanted.until)
            try:
                self._ready.register(descriptor, _FOR_ONCE)
            except FileExistsError:
                self._ready.modify(descriptor, _FOR_ONCE)
            is_too_many = wanted.is_idle and self._idle > self._most
        if is_too_many:
            self._disconnect(self._idle_ones()[0], "too many others are idle")

    def _heard(self, descriptor: int, expected: _Client | None = None) -> _Client | None:
        """Who waited for a descriptor, and does not any more; None if it has been disconnected meanwhile.

        Args:
            expected: None too if it is another: the descriptor has been used again.
        """
        with self._lock:
            client = self._waiting.get(descriptor)
            if not (client and client.wanted) or client is not (expected or client):
                return None
            del self._waiting[descriptor]
            self._idle -= client.wanted.is_idle
            client.wanted = None
            return client

    def _idle_ones(self) -> list[_Client]:
        """Whoever is idle, the one that has been for longest first."""
        with self._lock:
            times = {
                it: it.wanted.until
                for it in self._waiting.values()
                if it.wanted and it.wanted.is_idle
            }
            return sorted(times, key=times.__getitem__)

    def _disconnect(self, client: _Client, reason: str) -> None:
        """End the conversation with an idle client."""
        if not self._heard(client.connection.fileno(), client):
            return  # it has just said something
        client.steps.close()
        self._log_closed(client, reason)
        self._close(client)

    def _log_closed(self, client: _Client, reason: str) -> None:
        what = "a connection to the %s was closed: %s"
        self._log.log(logging.INFO, (client.uid, "closed"), what, self._name, reason)

    def _close(self, client: _Client) -> None:
        uid = client.uid
        with self._lock:
            self._clients.remove(client)
            remaining = self._per_peer[uid] - 1
            if remaining:
                self._per_peer[uid] = remaining
            else:
                del self._per_peer[uid]
        client.connection.close()

    def _end_overdue(self, now: float) -> None:
        """End what has lasted too long. Where a thread has the conversation, it reads the connection's end."""
        with self._lock:
            waited = [
                it for it in self._waiting.items() if it[1].wanted and it[1].wanted.until <= now
            ]
            overdue = [it for it in self._clients if it.deadline <= now]
        for descriptor, client in waited:
            if self._heard(descriptor, client):
                self._go_on(client, TimeoutError())
        for client in overdue:
            client.deadline = math.inf
            with suppress(OSError):  # the client has left already
                client.connection.shutdown(socket.SHUT_RDWR)
                self._log.log(
                    logging.INFO,
                    "overdue",
                    "a connection to the %s was closed after %g s",
                    self._name,
                    self._seconds,
                )
        with self._lock:
            times = [it.wanted.until for it in self._waiting.values() if it.wanted]
            times += [it.deadline for it in self._clients]
            self._next_look = min(times, default=math.inf)


def in_a_thread(handle: Callable[[socket.socket], None]) -> Converse:
    """Conversations that `handle` has, in a thread each."""

    def converse(connection: socket.socket) -> Steps[None]:
        yield BLOCKING
        handle(connection)

    return converse
