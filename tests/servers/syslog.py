"""A listener on /dev/log, because Cyrus and Sendmail tell nobody else why they failed.

/dev/log is made only where it is absent. It is then a symbolic link to a socket in a folder of ours, so that a later
run can tell what a killed one left behind from what belongs to a syslog daemon; the latter is never touched, and its
machine simply shows no lines here.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import socket
import tempfile
import threading
from collections import deque
from pathlib import Path

DEV_LOG = Path("/dev/log")
_PREFIX = "autocreate-test-syslog-"


class Syslog:
    """The lines said since the start, the newest 20,000 of them."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=20_000)
        self._folder: Path | None = None
        self._socket: socket.socket | None = None
        self._pid = os.getpid()

    def start(self) -> None:
        self._clear_leftover()
        if os.path.lexists(DEV_LOG) or os.geteuid() != 0:
            return
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/run"))
        self._folder.chmod(0o755)
        path = self._folder / "log"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o666)
        try:
            DEV_LOG.symlink_to(path)
        except FileExistsError:  # another run was faster
            self.stop()
            return
        threading.Thread(target=self._listen, args=(self._socket,), daemon=True).start()

    def stop(self) -> None:
        if self._folder is None or os.getpid() != self._pid:
            return
        with contextlib.suppress(OSError):
            if os.readlink(DEV_LOG) == str(self._folder / "log"):
                DEV_LOG.unlink()
        if self._socket is not None:
            self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None

    @property
    def active(self) -> bool:
        """Whether this process hears the machine's log at all."""
        return self._folder is not None

    def lines(self, pattern: str = "") -> list[str]:
        return [line for line in tuple(self._lines) if re.search(pattern, line)]

    def _listen(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := listening.recv(65536):
                text = data.rstrip(b"\0\n").decode("utf-8", "replace")
                # "<22>Jan  1 00:00:00 imap[17]: words": the priority and the time are of no use here.
                self._lines.append(re.sub(r"^<\d+>(?:\w{3} [ \d]\d [\d:]{8} )?", "", text))

    @staticmethod
    def _clear_leftover() -> None:
        with contextlib.suppress(OSError):
            target = Path(os.readlink(DEV_LOG))
            if not target.parent.name.startswith(_PREFIX):
                return
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
                try:
                    probe.connect(str(target))
                except (ConnectionRefusedError, FileNotFoundError):
                    DEV_LOG.unlink()
                    shutil.rmtree(target.parent, ignore_errors=True)


_shared: Syslog | None = None
_shared_lock = threading.Lock()


def shared() -> Syslog:
    """The one listener of this process, from the first call until the process ends."""
    global _shared  # noqa: PLW0603 -- /dev/log is one for the whole process
    with _shared_lock:
        if _shared is None:
            _shared = Syslog()
            _shared.start()
            atexit.register(_shared.stop)
        return _shared
