"""Messages among processes on one machine: a folder with a datagram socket for each of them (unix(7))."""

import contextlib
import os
import secrets
import socket
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from autocreate.backends.owner_rights import owner_of, rights_of
from autocreate.backends.waker import Waker

_LONGEST = 1 << 16  # bytes of a message
_MOST = 1000  # messages that are returned at once


class LocalChannel:
    """A socket in the folder, which sends to all that are there. For one thread.

    Args:
        folder: that only these processes may use. It is made if it is missing, for the owner of its parent.
        timeout: seconds to wait for a process that does not read what it gets.

    Raises:
        OSError, from every method but `wake` and `close`. Call `close` then.
    """

    def __init__(self, folder: Path, timeout: float) -> None:
        self._folder = folder
        self._timeout = timeout
        self._name = ""
        self._socket: socket.socket | None = None
        self._waker = Waker()

    def __str__(self) -> str:
        return f"messages in {self._folder}"

    def open(self) -> None:
        """Be in the folder, and get what is sent from now on."""
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        opened.setblocking(False)
        self._socket = opened
        with rights_of(owner_of(self._folder)), contextlib.suppress(FileExistsError):
            self._folder.mkdir(mode=0o700)
        with self._place() as place:
            opened.bind(f"{place}/{name}")
            self._name = name

    def send(self, messages: Sequence[str]) -> None:
        """Send messages to everybody in the folder, this process too, each to those that read first."""
        assert self._socket is not None
        self._socket.settimeout(self._timeout)
        busy: TimeoutError | None = None
        with self._place() as place:
            for name in os.listdir(place):
                try:
                    for message in messages:
                        self._socket.sendto(message.encode(), f"{place}/{name}")
                except (ConnectionRefusedError, FileNotFoundError):
                    self._remove(place, name)
                except TimeoutError:
                    busy = TimeoutError(f"process {name.partition('-')[0]} does not read them")
        self._socket.setblocking(False)
        if busy:
            raise busy

    def check(self) -> None:
        """See whether this process is still in the folder."""
        with self._place() as place:
            os.lstat(f"{place}/{self._name}")

    def receive(self, timeout: float) -> list[str]:
        """The messages that have come, after `timeout` seconds at most; earlier after a `wake`."""
        assert self._socket is not None
        is_ready = self._waker.wait(self._socket.fileno(), timeout)
        came: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while is_ready and len(came) < _MOST:
                message = self._socket.recv(_LONGEST)
                came.append(message.decode("utf-8", "replace"))
        return came

    def wake(self) -> None:
        """End a `receive` that waits. May be called in any thread."""
        self._waker.wake()

    def close(self) -> None:
        """Leave the folder. It can be opened again."""
        opened, self._socket = self._socket, None
        if opened is None:
            return
        opened.close()
        with contextlib.suppress(OSError), self._place() as place:
            self._remove(place, self._name)

    @contextlib.contextmanager
    def _place(self) -> Iterator[str]:
        """A short name of the folder, with the rights of its owner: see `owner_rights`.

        The address of a socket has 107 bytes at most.
        """
        with rights_of(owner_of(self._folder)):
            flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            folder = os.open(self._folder, flags)
            try:
                yield f"/proc/self/fd/{folder}"
            finally:
                os.close(folder)

    @staticmethod
    def _remove(place: str, name: str) -> None:
        """Remove the socket of a process that has ended. Nothing else is removed."""
        with contextlib.suppress(OSError):
            if name and stat.S_ISSOCK(os.lstat(f"{place}/{name}").st_mode):
                os.unlink(f"{place}/{name}")
