"""The connections of a front end: accepted up to a bound, each in a thread, none for ever.

Local users can connect as often as they like. What they can cost is bounded here: descriptors and
threads (`most`), time (`seconds`), the log (one line per user and hour), and the processor while there
are no descriptors left (a pause). Mail must go on meanwhile.
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
from concurrent.futures import ThreadPoolExecutor

from autocreate.frontends.listener import Listener, peer_uid
from autocreate.resilience.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

_HOUR = 3600.0
_PAUSE = 0.1  # seconds after a failure to accept
_LONGEST_WAIT = 60.0  # seconds between two looks at what the log left out


class Acceptor:
    """Accepts connections and has each handled in a thread of a pool.

    Args:
        name: of the socket, for the log: "login socket".
        most: how many connections are handled at once. Others wait to be accepted.
        seconds: after so long a connection is shut down, whatever it does. None: `handle` sees to it.
        peers: the ids of the Unix users who may connect (SO_PEERCRED of unix(7)); None: everybody.
            Anybody else is disconnected at once and takes no thread.
        most_per_peer: how many connections of one Unix user are handled at once; further ones are
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
        self._most_per_peer = most_per_peer or most
        self._hint = hint
        self._threads = ThreadPoolExecutor(most, thread_name_prefix=name.replace(" ", "-"))
        self._open: dict[socket.socket, tuple[float, int]] = {}  # each with its deadline and uid
        self._per_peer: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._is_stopping = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._log = ThrottledLog(log, _HOUR)

    def start(
        self, handle: Callable[[socket.socket], None], failed: Callable[[BaseException], None]
    ) -> None:
        """Accept in a thread of its own until `stop`.

        Args:
            handle: speaks with a client; the connection is closed after it.
            failed: called with the error if nothing can be accepted any more.
        """

        def run() -> None:
            try:
                self._accept(handle)
            except BaseException as error:
                failed(error)

        threading.Thread(target=run, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """Accept no more connections. Open ones are handled to their end."""
        self._is_stopping = True
        os.eventfd_write(self._wake, 1)
        self._listener.stop()

    def _accept(self, handle: Callable[[socket.socket], None]) -> None:
        waiting = select.poll()
        waiting.register(self._wake, select.POLLIN)
        is_listening = False
        while not self._is_stopping:
            if (len(self._open) < self._most) is not is_listening:
                is_listening = not is_listening
                if is_listening:
                    waiting.register(self._listener.fileno(), select.POLLIN)
                else:
                    waiting.unregister(self._listener.fileno())
            ready = {descriptor for descriptor, _ in waiting.poll(self._wait() * 1000)}
            if self._wake in ready:
                os.eventfd_read(self._wake)
            if not ready:
                self._log.flush()
            self._shut_down_overdue()
            if self._listener.fileno() in ready and not self._is_stopping:
                self._accept_one(handle)

    def _accept_one(self, handle: Callable[[socket.socket], None]) -> None:
        try:
            connection, _ = self._listener.socket.accept()
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EBADF):
                self._is_stopping = True  # the listener was shut down, or closed
                return
            self._log.log(
                logging.ERROR,
                error.errno,
                "cannot accept a connection at the %s: %s",
                self._name,
                error,
            )
            time.sleep(_PAUSE)  # out of descriptors, for example; there may soon be some again
            return
        try:
            uid = peer_uid(connection) if self._peers is not None else -1
            if not self._is_welcome(uid):
                connection.close()
                return
            with self._lock:
                self._open[connection] = time.monotonic() + self._seconds, uid
                self._per_peer[uid] += 1
            self._threads.submit(self._handle, connection, handle)
        except BaseException as error:  # no thread can be started, for example
            self._close(connection)
            self._log.log(logging.ERROR, "thread", "a client of the %s: %s", self._name, error)
            time.sleep(_PAUSE)

    def _is_welcome(self, uid: int) -> bool:
        if self._peers is None:
            return True
        if uid not in self._peers:
            self._log.warning(uid, "uid %d may not use the %s%s", uid, self._name, self._hint)
            return False
        if self._per_peer[uid] >= self._most_per_peer:
            self._log.warning(
                (uid, "many"), "uid %d has too many connections to the %s", uid, self._name
            )
            return False
        return True

    def _handle(self, connection: socket.socket, handle: Callable[[socket.socket], None]) -> None:
        try:
            handle(connection)
        except OSError as error:
            # Said by the kernel of every client that leaves early, and so in few words.
            self._log.log(
                logging.INFO, "left", "a client of the %s disconnected: %s", self._name, error
            )
        except BaseException as error:
            what = f"a defect of this program, at the {self._name}"
            self._log.log(logging.ERROR, type(error).__name__, what, exc_info=True)
        finally:
            self._close(connection)

    def _close(self, connection: socket.socket) -> None:
        with self._lock:
            # Before its descriptor can belong to another connection.
            _, uid = self._open.pop(connection, (0.0, -1))
            self._per_peer[uid] -= 1
            if self._per_peer[uid] <= 0:
                del self._per_peer[uid]
            connection.close()
        os.eventfd_write(self._wake, 1)

    def _wait(self) -> float:
        """Seconds until there is something to do though nothing comes."""
        with self._lock:
            deadline = min((it for it, _ in self._open.values()), default=math.inf)
        return min(_LONGEST_WAIT, max(0.0, deadline - time.monotonic()))

    def _shut_down_overdue(self) -> None:
        """Shut down the connections that have lasted too long: their threads read the end and close them."""
        now = time.monotonic()
        with self._lock:
            for connection in [it for it, (deadline, _) in self._open.items() if deadline <= now]:
                _, uid = self._open[connection]
                self._open[connection] = math.inf, uid
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the client has left already
                self._log.log(
                    logging.INFO,
                    "overdue",
                    "a connection to the %s was closed after %g s",
                    self._name,
                    self._seconds,
                )
