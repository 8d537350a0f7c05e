"""Runs one hook: a program that reads JSON on its standard input.

It runs with this service's user, a clean environment, no descriptor of ours, and in a session of its
own. At its time limit, or when the service stops, its whole process group is ended. Its output is kept
up to a limit, for the log. Only threads that Python started may call this: see
docs/decisions/0072-hooks.md.
"""

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from typing import NamedTuple

from autocreate.core.printable import printable
from autocreate.tree.values import Hook

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
_MOST_OUTPUT = 2000  # bytes
# Seconds between SIGTERM and SIGKILL, and between looks.
_GRACE = 2.0
_BETWEEN_LOOKS = 0.05
_PIECE = 4096

_STOPPED = "was ended, because the service stops"


class HookResult(NamedTuple):
    """What became of a hook.

    Args:
        error: why it failed, with the beginning of its output; empty if it did not.
        output: the beginning of what it wrote, on one line.
        is_stopped: it was ended because the service stops.
    """

    error: str
    output: str = ""
    is_stopped: bool = False


def run(hook: Hook, event: str, stopping: threading.Event) -> HookResult:
    """Run a hook to its end. Never raises for anything that the hook does.

    Args:
        event: what it reads.
        stopping: when set, the hook is ended.
    """
    if stopping.is_set():
        return HookResult(f"{hook.argv[0]} {_STOPPED}", is_stopped=True)
    try:
        with tempfile.TemporaryFile() as given:
            # A file, and no pipe: a hook that does not read cannot hold us up.
            given.write(event.encode() + b"\n")
            given.seek(0)
            process = subprocess.Popen(
                hook.argv,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=_ENVIRONMENT,
                start_new_session=True,
            )
    except (OSError, ValueError) as error:
        return HookResult(f"{hook.argv[0]} cannot be run: {error}")
    return _Running(process, hook, stopping).result()


class _Running:
    def __init__(
        self, process: "subprocess.Popen[bytes]", hook: Hook, stopping: threading.Event
    ) -> None:
        self._process = process
        self._hook = hook
        self._stopping = stopping
        self._output = bytearray()
        assert process.stdout is not None
        self._pipe = process.stdout
        os.set_blocking(self._pipe.fileno(), False)

    def result(self) -> HookResult:
        try:
            why = self._wait(time.monotonic() + self._hook.timeout)
            if why:
                self._end()
            self._read()
        finally:
            self._process.wait()
            self._pipe.close()
        output = printable(" ".join(self._output.decode("utf-8", "replace").split()))
        error = why or _failure(self._process.returncode)
        if error and output:
            error = f"{error}: {output}"
        return HookResult(error and f"{self._hook.argv[0]} {error}", output, why == _STOPPED)

    def _wait(self, until: float) -> str:
        """Wait until the process ends. Returns why it has to be ended; "" if it has ended."""
        while not self._has_ended():
            if self._stopping.is_set():
                return _STOPPED
            if time.monotonic() > until:
                return f"did not end within {self._hook.timeout:g} s"
            self._read(_BETWEEN_LOOKS)
        return ""

    def _has_ended(self) -> bool:
        # It is left unreaped: until then nobody else can get its number, which is its group's.
        how = os.WEXITED | os.WNOWAIT | os.WNOHANG
        return os.waitid(os.P_PID, self._process.pid, how) is not None

    def _read(self, seconds: float = 0.0) -> None:
        """Read what is there, and wait for it so long. What is beyond the limit is thrown away."""
        readable, _, _ = select.select([self._pipe], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            while readable and (piece := os.read(self._pipe.fileno(), _PIECE)):
                self._output += piece[: max(0, _MOST_OUTPUT - len(self._output))]
                readable, _, _ = select.select([self._pipe], [], [], 0)
            if readable:  # its end: the process goes on without it
                self._stopping.wait(seconds)

    def _end(self) -> None:
        """End the whole group: first kindly."""
        self._signal(signal.SIGTERM)
        until = time.monotonic() + _GRACE
        while not self._has_ended() and time.monotonic() < until:
            self._read(_BETWEEN_LOOKS)
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _failure(status: int) -> str:
    if status < 0:
        return f"was ended by signal {-status}"
    return f"exited with status {status}" if status else ""
