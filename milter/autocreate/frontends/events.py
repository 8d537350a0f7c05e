"""Cyrus's own notifications: who was let in, and whose mailboxes went.

They come after the fact, so a mailbox is made while the client is in already. Against that they tell
the user who was authorized, which no password checker knows, and come from sites whose passwords
Cyrus checks by itself.
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
from autocreate.errors import Malformed, Temporary
from autocreate.frontends import control
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.listener import Listener
from autocreate.frontends.notification import parse
from autocreate.model import Answer, Login

log = logging.getLogger(__name__)

_LONGEST = 8192  # NOTIFY_MAXSIZE of Cyrus's notify.c
_THREADS = 16
_MOST_LOGINS = 1000  # that wait for a thread
_MOST_USERS = 1000  # of whom a milter is still to be told


class Events:
    """Reads notifications as fast as they come: while the queue is full, Cyrus's processes wait.

    Args:
        peers: the numbers of the users whose notifications count (SCM_CREDENTIALS of unix(7)).
        notifyd: the socket that is to have every notification too, if there is one.
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

    def serve(self, traffic: ServiceGate, failed: Callable[[BaseException], None]) -> None:
        """See `FrontEnd.serve`."""
        self._listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

        def run() -> None:
            try:
                self._read(traffic)
            except BaseException as error:
                failed(error)

        threading.Thread(target=run, name="events", daemon=True).start()

    def stop(self) -> None:
        """See `FrontEnd.stop`."""
        os.eventfd_write(self._stopping, 1)
        self._listener.stop()

    def _read(self, traffic: ServiceGate) -> None:
        waiting = select.poll()
        waiting.register(self._listener.fileno(), select.POLLIN)
        waiting.register(self._stopping, select.POLLIN)
        while not any(descriptor == self._stopping for descriptor, _ in waiting.poll()):
            datagram, ancillary, _, _ = self._listener.socket.recvmsg(
                _LONGEST, socket.CMSG_SPACE(12)
            )
            uid = _sender(ancillary)
            if uid not in self._peers:
                log.warning("user number %s notified, and may not: see login.peers", uid)
                continue
            if self._notifyd:
                self._notifyd.tell(datagram)
            try:
                self._follow(datagram, traffic)
            except Malformed as error:
                log.warning("a notification was dropped: %s", error)
            except Exception:
                log.exception("a defect of this program, at a notification")

    def _follow(self, datagram: bytes, traffic: ServiceGate) -> None:
        event = parse(datagram)
        for user in event.owners_of_removed:
            with traffic.enter() as service:
                if service is not None:
                    service.invalidate(user)
            if self._milter:
                self._milter.tell(user)
        if event.login is None:
            return
        if not self._room.acquire(blocking=False):
            log.error("too many logins at once: %s is looked after next time", event.login.name)
            return
        self._threads.submit(self._look_after, event.login, traffic)

    def _look_after(self, login: Login, traffic: ServiceGate) -> None:
        begun = time.monotonic()
        try:
            with traffic.enter() as service:
                if service is None:
                    return
                verdict = service.log_in(login)
                if verdict.answer is Answer.TEMPORARY:
                    service.schedule_retry(login)
            milliseconds = (time.monotonic() - begun) * 1000
            traffic.statistics.count("event", verdict, milliseconds, login.address)
            logs.login(login, verdict, milliseconds, is_news=False, by="event")
        except BaseException:
            log.exception("a defect of this program, at a login that was notified")
        finally:
            self._room.release()


class Notifyd:
    """The notifyd(8) that would have had the notifications."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._is_well = True

    def tell(self, datagram: bytes) -> None:
        """Pass a notification on, or drop it if it cannot be delivered at once."""
        try:
            self._socket.sendto(datagram, str(self._path))
        except OSError as error:
            if self._is_well:  # once, and not for every one of them
                log.error("notifyd at %s cannot be told: %s", self._path, error)
            self._is_well = False
        else:
            self._is_well = True


class Milter:
    """A milter in a process of its own, which may take mailboxes to stand that are gone.

    Args:
        control: its control socket. Nobody is told anything while nobody listens there.
    """

    def __init__(self, control: Path) -> None:
        self._control = control
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="milter")
        self._room = threading.BoundedSemaphore(_MOST_USERS)
        self._is_well = True

    def tell(self, user: str) -> None:
        """Let it look at a user's mailbox again. Does not wait until it knows."""
        if not self._room.acquire(blocking=False):
            log.error("the milter does not hear that a mailbox of %s is gone: it is slow", user)
            return
        self._thread.submit(self._tell, user)

    def _tell(self, user: str) -> None:
        try:
            if self._control.exists():
                control.ask(self._control, "forget", user=user)
            self._is_well = True
        except Temporary as error:
            if self._is_well:  # once, and not for every one of them
                log.error("the milter does not hear that a mailbox of %s is gone: %s", user, error)
            self._is_well = False
        except Exception:
            log.exception("a defect of this program, while the milter was told of a mailbox")
        finally:
            self._room.release()


def _sender(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(struct.unpack("3i", data)[1])
    return None
