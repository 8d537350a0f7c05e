"""What systemd does with a .socket unit: it holds sockets, and hands them over to a program that it starts."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from .scripted import ScriptedServer

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


class SocketUnit(ScriptedServer):
    """Holds sockets between `__enter__` and `__exit__`, whatever becomes of the program.

    Args:
        folder: where `hand-over` may lie, a socket of its own.
        sockets: each bound, and listening if it is a stream.
    """

    def __init__(self, folder: Path, sockets: Sequence[socket.socket]) -> None:
        self._place = folder / "hand-over"
        self._sockets = list(sockets)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._place))
        listener.listen()
        super().__init__(listener)

    def close(self) -> None:
        super().close()
        for it in self._sockets:
            it.close()

    def starting(self, *command: str | Path) -> list[str | Path]:
        """The command that starts another with the sockets as its descriptors 3, 4, ..."""
        return [sys.executable, "-c", _BECOME, self._place, *command]

    def serve(self, client: socket.socket) -> None:
        socket.send_fds(client, [b"x"], [it.fileno() for it in self._sockets])


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
