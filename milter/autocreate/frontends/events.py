"""Cyrus's own notifications: users who logged in, and users whose mailboxes were removed.

They come after the login, so the mailbox is created while the client is already connected. But they name
the authorized user, whom no password checker knows, and they also come from sites where Cyrus checks
the passwords itself.
"""

import logging
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from autocreate import logs
from autocreate.errors import MalformedNotification, Temporary
from autocreate.frontends import control_client
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.listener import Listener
from autocreate.frontends.notification import parse
from autocreate.model import Answer, Login
from autocreate.resilience.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

_LONGEST = 8192  # NOTIFY_MAXSIZE of Cyrus's notify.c
_THREADS = 16
_MOST_LOGINS = 1000  # that wait for a thread
_MOST_USERS = 1000  # queued for the milter
_PAUSE = 0.1  # seconds after a failure to read
_MINUTE = 60.0
_HOUR = 3600.0


class Events:
    """Reads notifications as fast as they come: while the socket's queue is full, Cyrus's processes wait.

    Args:
        peers: the ids of the Unix users who may send notifications (SCM_CREDENTIALS of unix(7)).
        notifyd: the socket that every notification is passed on to, if there is one.
        milter: the control socket of a milter in a process of its own, if there can be one.
    """

    def __init__(
        self,
        listener: Listener,
        peers: Collection[int],
        notifyd: Path | None,
        milter: Path | None = None,
    ) -> None:
        self._listener = listener
        self._peers = frozenset(peers)
        self._notifyd = Notifyd(notifyd) if notifyd else None
        self._milter = Milter(milter) if milter else None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="event")
        self._room = threading.BoundedSemaphore(_MOST_LOGINS)
        self._stopping = os.eventfd(0, os.EFD_CLOEXEC)
        # A notification comes with every login, so these may be many.
        self._log = ThrottledLog(log, _MINUTE)
        self._peers_log = ThrottledLog(log, _HOUR)

    def serve(self, gate: ServiceGate, failed: Callable[[BaseException], None]) -> None:
        """See `FrontEnd.serve`."""
        self._listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

        def run() -> None:
            try:
                self._read(gate)
            except BaseException as error:
                failed(error)

        threading.Thread(target=run, name="events", daemon=True).start()

    def stop(self) -> None:
        """See `FrontEnd.stop`."""
        os.eventfd_write(self._stopping, 1)
        self._listener.stop()

    def _read(self, gate: ServiceGate) -> None:
        waiting = select.poll()
        waiting.register(self._listener.fileno(), select.POLLIN)
        waiting.register(self._stopping, select.POLLIN)
        while not any(descriptor == self._stopping for descriptor, _ in waiting.poll()):
            try:
                datagram, ancillary, _, _ = self._listener.socket.recvmsg(
                    _LONGEST, socket.CMSG_SPACE(12)
                )
            except OSError as error:
                self._log.log(logging.ERROR, "recvmsg", "cannot read a notification: %s", error)
                time.sleep(_PAUSE)  # out of memory, for example; there may soon be some again
                continue
            self._take(datagram, _sender(ancillary), gate)

    def _take(self, datagram: bytes, uid: int | None, gate: ServiceGate) -> None:
        if uid not in self._peers:
            self._peers_log.warning(uid, "uid %s may not send notifications: see login.peers", uid)
            return
        if self._notifyd:
            self._notifyd.tell(datagram)
        try:
            self._follow(datagram, gate)
        except MalformedNotification as error:
            self._log.warning("malformed", "a notification was dropped: %s", error)
        except Exception as error:
            what = "a defect of this program, at a notification"
            self._log.log(logging.ERROR, type(error).__name__, what, exc_info=True)

    def _follow(self, datagram: bytes, gate: ServiceGate) -> None:
        event = parse(datagram)
        for user in event.owners_of_removed:
            with gate.enter() as service:
                if service is not None:
                    service.invalidate(user)
            if self._milter:
                self._milter.tell(user)
        if event.login is None:
            return
        if not self._room.acquire(blocking=False):
            self._log.log(
                logging.ERROR,
                "full",
                "too many logins at once: the mailbox of %s is checked at the next login",
                event.login.name,
            )
            return
        self._threads.submit(self._look_after, event.login, gate)

    def _look_after(self, login: Login, gate: ServiceGate) -> None:
        begun = time.monotonic()
        try:
            with gate.enter() as service:
                if service is None:
                    return
                verdict = service.log_in(login)
                if verdict.answer is Answer.TEMPORARY:
                    service.schedule_retry(login)
            milliseconds = (time.monotonic() - begun) * 1000
            gate.statistics.count("event", verdict, milliseconds, login.address)
            logs.login(login, verdict, milliseconds, is_news=False, by="event")
        except BaseException:
            log.exception("a defect of this program, at a login that was notified")
        finally:
            self._room.release()


class Notifyd:
    """The notifyd(8) that would otherwise receive the notifications."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._is_up = True

    def tell(self, datagram: bytes) -> None:
        """Pass a notification on, or drop it if it cannot be delivered at once."""
        try:
            self._socket.sendto(datagram, str(self._path))
        except OSError as error:
            if self._is_up:  # log it once
                log.error("cannot pass notifications on to notifyd at %s: %s", self._path, error)
            self._is_up = False
        else:
            self._is_up = True


class Milter:
    """A milter in a process of its own, which may remember mailboxes that were removed.

    Args:
        control: its control socket. Nothing is sent while nothing listens there.
    """

    def __init__(self, control: Path) -> None:
        self._control = control
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="milter")
        self._room = threading.BoundedSemaphore(_MOST_USERS)
        self._is_up = True
        self._log = ThrottledLog(log, _MINUTE)

    def tell(self, user: str) -> None:
        """Have it look at a user's mailbox again. Does not wait for it."""
        if not self._room.acquire(blocking=False):
            self._log.log(
                logging.ERROR,
                "full",
                "dropped mailbox-removed notice for %s: milter queue full",
                user,
            )
            return
        self._thread.submit(self._tell, user)

    def _tell(self, user: str) -> None:
        try:
            if self._control.exists():
                control_client.ask(self._control, "forget", user=user)
            self._is_up = True
        except Temporary as error:
            if self._is_up:  # log it once
                log.error("dropped mailbox-removed notice for %s: %s", user, error)
            self._is_up = False
        except Exception:
            log.exception("a defect of this program, at a notice to the milter")
        finally:
            self._room.release()


def _sender(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(struct.unpack("3i", data)[1])
    return None
