"""What systemd does with a .socket unit: it holds sockets, and hands them over to a program that it starts."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

# Takes the descriptors from the place that is named, and becomes the program (sd_listen_fds(3)).
_BECOME = """
import fcntl, os, socket, sys
with socket.socket(socket.AF_UNIX) as teller:
    teller.connect(sys.argv[1])
    handed = socket.recv_fds(teller, 1, 8)[1]
aside = [fcntl.fcntl(it, fcntl.F_DUPFD, 100) for it in handed]
for number, it in enumerate(aside, start=3):
    os.dup2(it, number)
    os.close(it)
os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), str(len(handed))
os.execv(sys.argv[2], sys.argv[2:])
"""


class SocketUnit:
    """Holds sockets between `__enter__` and `__exit__`, whatever becomes of the program.

    Args:
        folder: where `hand-over` may lie, a socket of its own.
        sockets: each bound, and listening if it is a stream.
    """

    def __init__(self, folder: Path, sockets: Sequence[socket.socket]) -> None:
        self._place = folder / "hand-over"
        self._sockets = list(sockets)
        self._listener = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> SocketUnit:
        self._listener.bind(str(self._place))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for it in (self._listener, *self._sockets):
            it.close()

    def starting(self, *command: str | Path) -> list[str | Path]:
        """The command that starts another with the sockets as its descriptors 3, 4, ..."""
        return [sys.executable, "-c", _BECOME, self._place, *command]

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                asking, _ = self._listener.accept()
                with asking:
                    socket.send_fds(asking, [b"x"], [it.fileno() for it in self._sockets])


def listening_at(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """A Unix socket as systemd makes it, that everybody may connect to."""
    made = socket.socket(socket.AF_UNIX, kind)
    made.bind(str(path))
    path.chmod(0o666)
    if kind == socket.SOCK_STREAM:
        made.listen(128)
    else:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # PassCredentials=yes
    return made
