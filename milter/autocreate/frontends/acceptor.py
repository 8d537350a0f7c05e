"""The connections of a front end: accepted up to a bound, each in a thread, none for ever.

Local users can connect as often as they like. What they can cost is bounded here: descriptors and
threads (`most`), time (`seconds`), the log (one line per user and hour), and the processor while there
are no descriptors left (a pause). Mail must go on meanwhile.

The threads wait for clients at one epoll(7). Whichever the kernel wakes accepts, and handles what it
accepted: no connection changes hands. A client that has not sent anything yet, or nothing since it was
answered, waits there without a thread.
"""

import errno
import logging
import math
import os
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

from autocreate.frontends.listener import Listener, peer_uid
from autocreate.resilience.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

Handle = Callable[[socket.socket], bool | None]
Failed = Callable[[BaseException], None]

_HOUR = 3600.0
_PAUSE = 0.1  # seconds after a failure to accept
_FOR_ONE = select.EPOLLIN | select.EPOLLONESHOT  # one thread gets the event


@dataclass(slots=True)
class _Client:
    connection: socket.socket
    uid: int
    since: float  # when it was accepted, or last answered; both by time.monotonic()
    deadline: float


class Acceptor:
    """Accepts connections and has each handled in a thread.

    Args:
        name: of the socket, for the log: "login socket".
        most: how many connections are handled at once. Others wait to be accepted.
        seconds: after so long a connection is shut down, whatever it does. None: `handle` sees to it.
        silence: seconds in which a client must send something, where `handle` wants that: see `start`.
        peers: the ids of the Unix users who may connect (SO_PEERCRED of unix(7)); None: everybody.
            Anybody else is disconnected at once and takes no thread.
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
        silence: float = 60.0,
    ) -> None:
        self._name = name
        self._listener = listener
        self._most = most
        self._seconds = math.inf if seconds is None else seconds
        self._silence = silence
        self._peers = None if peers is None else frozenset(peers)
        self._most_per_peer = most_per_peer
        self._hint = hint
        self._lock = threading.Lock()
        self._handled: dict[int, _Client] = {}  # by descriptor
        self._silent: dict[int, _Client] = {}  # likewise
        self._per_peer: Counter[int] = Counter()
        self._threads = 0
        self._idle = 0
        self._next_look = 0.0  # when the deadlines are looked at, by time.monotonic()
        self._look = threading.Event()
        self._is_stopping = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._ready = select.epoll()
        self._log = ThrottledLog(log, _HOUR)

    def start(self, handle: Handle, failed: Failed) -> None:
        """Accept in threads of its own until `stop`.

        Args:
            handle: speaks with a client; the connection is closed after it, unless it returns True. Then,
                and if it raises BlockingIOError because the client has not sent anything yet, it is called
                again when the client has sent something.
            failed: called with the error if nothing can be accepted any more.
        """
        self._ready.register(self._wake, select.EPOLLIN)
        self._ready.register(self._listener.fileno(), _FOR_ONE)

        def work() -> None:
            try:
                self._work(handle, start_thread)
            except BaseException as error:
                failed(error)

        def start_thread() -> None:
            with self._lock:
                self._threads += 1
                self._idle += 1
                name = f"{self._name.replace(' ', '-')}_{self._threads}"
            try:
                threading.Thread(target=work, name=name, daemon=True).start()
            except BaseException:
                with self._lock:
                    self._threads -= 1
                    self._idle -= 1
                raise

        start_thread()
        threading.Thread(target=self._watch, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """Accept no more connections. Those that are handled are handled to their end."""
        self._is_stopping = True
        os.eventfd_write(self._wake, 1)  # never read: every thread sees it
        self._look.set()
        self._listener.stop()

    def _work(self, handle: Handle, start_thread: Callable[[], None]) -> None:
        listener = self._listener.fileno()
        while not self._is_stopping:
            [(descriptor, _)] = self._ready.poll(maxevents=1)
            if self._is_stopping or descriptor == self._wake:
                return
            client = self._accept() if descriptor == listener else self._heard(descriptor)
            if client:
                self._start_another(start_thread)
            if descriptor == listener and not self._is_stopping:
                self._ready.modify(listener, _FOR_ONE)
            if client:
                self._handle(client, handle)
                with self._lock:
                    self._idle += 1

    def _start_another(self, start_thread: Callable[[], None]) -> None:
        """Before this thread is busy, let there be one that waits."""
        with self._lock:
            self._idle -= 1
            is_needed = not self._idle and self._threads < self._most
        if is_needed:
            try:
                start_thread()
            except RuntimeError as error:
                self._log.log(logging.ERROR, "thread", "at the %s: %s", self._name, error)

    def _accept(self) -> _Client | None:
        try:
            connection, _ = self._listener.socket.accept()
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EBADF):
                self.stop()  # the listener was shut down, or closed
                return None
            self._log.log(
                logging.ERROR,
                error.errno,
                "cannot accept a connection at the %s: %s",
                self._name,
                error,
            )
            time.sleep(_PAUSE)  # out of descriptors, for example; there may soon be some again
            return None
        uid = peer_uid(connection) if self._peers is not None else -1
        if not self._is_welcome(uid):
            connection.close()
            return None
        now = time.monotonic()
        client = _Client(connection, uid, now, now + self._seconds)
        with self._lock:
            self._handled[connection.fileno()] = client
            self._per_peer[uid] += 1
        self._see_to(client)
        return client

    def _heard(self, descriptor: int) -> _Client | None:
        """A client that was silent so far; None if it has been disconnected meanwhile."""
        with self._lock:
            client = self._silent.pop(descriptor, None)
            if client:
                client.deadline = time.monotonic() + self._seconds
                self._handled[descriptor] = client
        return client

    def _is_welcome(self, uid: int) -> bool:
        if self._peers is None:
            return True
        if uid not in self._peers:
            self._log.warning(uid, "uid %d may not use the %s%s", uid, self._name, self._hint)
            return False
        if self._most_per_peer and self._per_peer[uid] >= self._most_per_peer:
            self._log.warning(
                (uid, "many"), "uid %d has too many connections to the %s", uid, self._name
            )
            return False
        return True

    def _handle(self, client: _Client, handle: Handle) -> None:
        stays: bool | None = False
        try:
            stays = handle(client.connection)
        except BlockingIOError:
            self._wait_for(client)
            return
        except OSError as error:
            # Said by the kernel of every client that leaves early, and so in few words.
            self._log.log(
                logging.INFO, "left", "a client of the %s disconnected: %s", self._name, error
            )
        except BaseException as error:
            what = f"a defect of this program, at the {self._name}"
            self._log.log(logging.ERROR, type(error).__name__, what, exc_info=True)
        if stays and not self._is_stopping:
            client.since = time.monotonic()
            self._wait_for(client)
            return
        with self._lock:
            # Before its descriptor can belong to another connection.
            del self._handled[client.connection.fileno()]
            self._forget(client)
        client.connection.close()

    def _wait_for(self, client: _Client) -> None:
        """Have a silent client wait without a thread. There are at most as many as are handled at once."""
        descriptor = client.connection.fileno()
        with self._lock:
            del self._handled[descriptor]
            client.deadline = client.since + self._silence
            self._silent[descriptor] = client
            if len(self._silent) > self._most:
                # Threads come here in any order.
                oldest = min(self._silent.values(), key=lambda it: it.since)
                self._disconnect(oldest, "too many others that sent nothing")
                if oldest is client:
                    return
            try:
                self._ready.register(descriptor, _FOR_ONE)
            except FileExistsError:
                self._ready.modify(descriptor, _FOR_ONE)
        self._see_to(client)

    def _disconnect(self, client: _Client, reason: str) -> None:
        """Disconnect a silent client. The lock is held."""
        del self._silent[client.connection.fileno()]
        self._forget(client)
        client.connection.close()
        self._log.log(
            logging.INFO,
            (client.uid, "silent"),
            "a connection to the %s sent nothing and was closed: %s",
            self._name,
            reason,
        )

    def _forget(self, client: _Client) -> None:
        self._per_peer[client.uid] -= 1
        if self._per_peer[client.uid] <= 0:
            del self._per_peer[client.uid]

    def _see_to(self, client: _Client) -> None:
        """Have the thread that watches the deadlines look in time."""
        if client.deadline < self._next_look:
            self._look.set()

    def _watch(self) -> None:
        while not self._is_stopping:
            self._look.clear()
            with self._lock:
                now = time.monotonic()
                self._end_overdue(now)
                clients = (*self._handled.values(), *self._silent.values())
                self._next_look = min((it.deadline for it in clients), default=math.inf)
            left = max(0.0, self._next_look - time.monotonic())
            self._look.wait(None if left == math.inf else left)
        with self._lock:
            for client in list(self._silent.values()):
                self._disconnect(client, "this process ends")

    def _end_overdue(self, now: float) -> None:
        """End the connections that have lasted too long. Where a thread handles one, it reads the end."""
        for client in [it for it in self._silent.values() if it.deadline <= now]:
            self._disconnect(client, f"after {self._silence:g} s")
        for client in [it for it in self._handled.values() if it.deadline <= now]:
            client.deadline = math.inf
            try:
                client.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client has left already
            self._log.log(
                logging.INFO,
                "overdue",
                "a connection to the %s was closed after %g s",
                self._name,
                self._seconds,
            )
