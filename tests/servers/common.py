"""What every server of the tests needs: a folder, a port, waiting for a condition, and ending exactly what it started.

A server is started as the leader of a session of its own, so that "what it started" is a fact of the kernel: the
processes of that session, and no name or pattern is ever searched for.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

HOST = "127.0.0.1"
START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0
BUSY = 4.0  # times slower than a quiet machine is one that runs all suites at once
HUNG = 240.0  # seconds after which a command has surely not only been slow

# Sendmail distrusts sockets and aliases below a world-writable folder, so nothing lives in /tmp.
BASE = Path(os.environ.get("AUTOCREATE_TEST_BASE", "/var/lib"))

T = TypeVar("T")


def wait_until_disconnected(client: socket.socket, data: bytes) -> None:
    """Sends these bytes again and again until the server has ended the connection."""

    def is_disconnected() -> bool:
        try:
            client.sendall(data)
        except OSError:
            return True
        return False

    wait_until(is_disconnected, 10.0, "the end of the connection")


def secret_file(folder: Path, password: str) -> str:
    """The path of a file for the password of an account source, which only its owner may read."""
    path = folder / "source.secret"
    path.touch(mode=0o600)
    path.write_text(password + "\n")
    return str(path)


def wait_until(
    condition: Callable[[], T],
    timeout: float,
    what: str,
    log: Callable[[], str] | None = None,
    pause: float = 0.01,
) -> T:
    """Polls until the condition is true, and returns its value; AssertionError with the log if never.

    Args:
        timeout: seconds within which it is true on a quiet machine. A busy one has several times as long.
    """
    value = poll(condition, BUSY * timeout, pause)
    if not value:
        words = log() if log else ""
        raise AssertionError(f"waited {BUSY * timeout:g} s in vain for {what}\n{words}".rstrip())
    return value


def poll(condition: Callable[[], T], timeout: float, pause: float = 0.01) -> T:
    """Polls until the condition is true, for so many seconds at most, and returns its last value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(pause)


class _Ports:
    """Ports of 127.0.0.1 that no other process of the tests gets: suites run side by side.

    They are below the ephemeral range, so that no client's outgoing connection takes one while its server is down.
    """

    _ALL = range(12_000, 32_000)
    _BLOCK = 100

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = range(0)
        # Of each block a socket in Linux's abstract name space: it is bound by one process, and gone with it.
        self._blocks: dict[range, socket.socket] = {}

    def take(self, count: int) -> int:
        """The first of so many that follow each other and are free now."""
        with self._lock:
            while True:
                while len(self._left) < count:
                    self._left = self._claimed() or self._next_again()
                ports, self._left = self._left[:count], self._left[count:]
                if all(map(_is_free, ports)):
                    return ports[0]

    def _claimed(self) -> range | None:
        starts = list(self._ALL[:: self._BLOCK])
        random.shuffle(starts)
        for start in starts:
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                claim.bind(f"\0autocreate-test-ports-{start}")
            except OSError:  # another's, or ours
                claim.close()
                continue
            block = range(start, start + self._BLOCK)
            self._blocks[block] = claim
            return block
        return None

    def _next_again(self) -> range:
        """Where none is left: a block of ours once more, that which was not in use for the longest time."""
        block = next(iter(self._blocks))
        self._blocks[block] = self._blocks.pop(block)
        return block


_ports = _Ports()


def free_port(count: int = 1) -> int:
    """A port of 127.0.0.1 for this process; so many that follow each other."""
    return _ports.take(count)


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind((HOST, port))
        return True
    return False


@contextlib.contextmanager
def fresh_folder(name: str, base: Path | None = None) -> Iterator[Path]:
    """A new folder that other users may enter but not write; removed with all it holds."""
    folder = Path(tempfile.mkdtemp(prefix=f"autocreate-test-{name}-", dir=base or BASE))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def aged(path: Path) -> Path:
    """A file as it is an hour after it was written: what is missing in it then is missing."""
    an_hour_ago = time.time() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))
    return path


def stop_listening(listener: socket.socket, *threads: threading.Thread) -> None:
    """Closes a listener and wakes who waits for a connection there.

    After a close alone a thread in accept(2) goes on waiting, at a number that the next socket gets: it may
    then take a connection of another test's.

    Args:
        threads: that end then; they are waited for.
    """
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in threads:
        thread.join(10.0)
        assert not thread.is_alive()


def run(
    command: Sequence[str | Path],
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    timeout: float = HUNG,
) -> str:
    """A command's output; AssertionError with all it said if it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        input=stdin,
        capture_output=True,
        env={**os.environ, **(env or {})},
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        words = (done.stderr + done.stdout).decode("utf-8", "replace")
        raise AssertionError(f"{command[0]} ended with status {done.returncode}: {words}")
    return done.stdout.decode("utf-8", "replace")


def start(
    command: Sequence[str | Path], output: IO[bytes], env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """A server as the leader of a new session."""
    return subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env={**os.environ, **(env or {})},
        start_new_session=True,
    )


def session_members(session: int) -> list[int]:
    """The living processes of a session, oldest first."""
    members = [
        (int(fields[_STARTED]), pid)
        for pid, fields in _living().items()
        if int(fields[_SESSION]) == session
    ]
    return [pid for _started, pid in sorted(members)]


def family(pid: int) -> list[int]:
    """A process and its living descendants, parents first."""
    parents = {pid: int(fields[_PARENT]) for pid, fields in _living().items()}
    found = [pid]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        # It may have ended just now.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def pause_all(members: Callable[[], list[int]]) -> None:
    """Pauses processes and whom they start meanwhile, until each of their threads stands still.

    A thread that is at work on another processor stops only when it comes to see the signal.
    """

    def all_stand() -> bool:
        moving = [pid for pid in members() if not _stands(pid)]
        signal_all(moving, signal.SIGSTOP)
        return not moving

    wait_until(all_stand, STOP_TIMEOUT, "a pause")


# Fields of a process in proc(5), counted from its state on. The command's name before that is in parentheses and may
# hold anything, so they begin after the last one.
_STATE, _PARENT, _SESSION, _STARTED = 0, 1, 3, 19


def _stat(place: Path) -> list[str]:
    return (place / "stat").read_text().rpartition(")")[2].split()


def _living() -> dict[int, list[str]]:
    """The processes of this machine and their fields; zombies are dead."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = _stat(entry)
                if fields[_STATE] not in "ZX":
                    found[int(entry.name)] = fields
    return found


def _stands(pid: int) -> bool:
    try:
        return all(_stat(thread)[_STATE] in "TZX" for thread in Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return False  # of a thread that has just ended, or of all: looked at once more


def end(
    server: subprocess.Popen[bytes], timeout: float = STOP_TIMEOUT, linger: float = STOP_TIMEOUT
) -> None:
    """Asks a server to end, and whom it leaves behind in its session; insists after `timeout` and `linger`."""
    session = server.pid
    try:
        if server.poll() is None:
            server.terminate()
        # A stopped process takes a signal only when it goes on.
        signal_all(session_members(session), signal.SIGCONT)
        poll(lambda: server.poll() is not None, timeout)
        signal_all(session_members(session), signal.SIGTERM)
        poll(lambda: not session_members(session), linger)
    finally:
        poll(lambda: not _killed(session), math.inf)
        server.wait()


def _killed(session: int) -> list[int]:
    """The members of a session, each of which is killed."""
    members = session_members(session)
    signal_all(members, signal.SIGKILL)
    return members


def accepts(port: int) -> bool:
    """Whether something listens there. A server that greets may log this visit."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def greets(port: int, greeting: bytes, host: str = HOST) -> bool:
    """Whether a server there begins by saying this."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=2.0) as probe:
        return probe.recv(512).startswith(greeting)
    return False
