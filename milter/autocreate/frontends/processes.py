"""Further processes at the milter's socket, because Python runs the code of one thread at a time.

Each is a milter of its own, as another MTA's would be, with the listening socket of the first. What they know of
each other goes by the journal: see docs/decisions/0087.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

log = logging.getLogger(__name__)

# Seconds until a process that has ended is started again: at first, and in the end.
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
# Seconds after which a process has run well, so that the next end is a first one.
_WELL = 60.0

# What systemd tells the first process alone (sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3)).
_OF_THE_FIRST = frozenset(
    ("NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC")
)


class Further(NamedTuple):
    """What a further process is given, as a word of its command line: `NUMBER:LISTENER:LIFE`.

    Args:
        number: 1, 2, ...
        listener: the descriptor of the socket.
        life: a descriptor whose end comes with the end of the first process.
    """

    number: int
    listener: int
    life: int

    def __str__(self) -> str:
        return ":".join(map(str, self))

    @classmethod
    def parsed(cls, word: str) -> "Further":
        """Raises ValueError if it is none."""
        number, listener, life = map(int, word.split(":"))
        return cls(number, listener, life)

    def end_with_the_first(self) -> None:
        """End this process as by SIGTERM when the first one has ended, however it did."""

        def wait() -> None:
            os.read(self.life, 1)  # nothing is ever written
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=wait, name="life", daemon=True).start()


class FurtherProcesses:
    """Starts further processes, and starts one anew that has ended.

    Args:
        count: how many, which may be none.
        arguments: of this program, to which `--further` is added.
        listener: the descriptor of the listening socket.
    """

    def __init__(self, count: int = 0, arguments: Sequence[str] = (), listener: int = -1) -> None:
        self._arguments = arguments
        self._listener = listener
        self._life, self._ours = os.pipe() if count else (-1, -1)
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # none is started once it is time to stop
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._threads = [
            threading.Thread(
                target=self._keep, args=(number,), name=f"process {number}", daemon=True
            )
            for number in range(1, count + 1)
        ]

    def start(self) -> None:
        """Start them, and see to it that they run from now on."""
        for thread in self._threads:
            thread.start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all that run."""
        with self._lock:
            for process in self._processes.values():
                process.send_signal(number)

    def stop(self) -> None:
        """Have them end, as by SIGTERM. Does not wait."""
        with self._lock:
            self._stopping.set()
        self.signal(signal.SIGTERM)

    def wait(self, timeout: float) -> bool:
        """Wait until all have ended. False if some have not after `timeout` seconds."""
        until = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _keep(self, number: int) -> None:
        pause = _FIRST_PAUSE
        while True:
            begun = time.monotonic()
            ended = self._run(number)
            if self._stopping.is_set():
                return
            if time.monotonic() - begun > _WELL:
                pause = _FIRST_PAUSE
            # Not before: systemd ends all processes at once, and this one may be told last.
            if self._stopping.wait(pause):
                return
            log.error("further process %d %s; after %g s it is started again", number, ended, pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _run(self, number: int) -> str:
        """Run a process until it ends. How it did, in words."""
        further = Further(number, self._listener, self._life)
        try:
            with self._lock:
                if self._stopping.is_set():
                    return "was not started"
                process = subprocess.Popen(
                    [*_interpreter(), *self._arguments, "--further", str(further)],
                    pass_fds=(further.listener, further.life),
                    stdin=subprocess.DEVNULL,
                    process_group=0,  # an interrupt from the terminal is for the first one
                    env=_environment(os.environ),
                )
                self._processes[number] = process
        except OSError as error:
            return f"cannot be started: {error.strerror}"
        status = process.wait()
        with self._lock:
            del self._processes[number]
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"ended with status {status}"


def _interpreter() -> list[str]:
    """How this program was started, without its arguments: the interpreter, its options, the script."""
    options = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]
    return [sys.executable, *options]


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in ours.items() if name not in _OF_THE_FIRST}
