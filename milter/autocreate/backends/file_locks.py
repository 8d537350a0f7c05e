"""Locks among processes on one machine: bytes of a file, each locked by the open file description (fcntl(2))."""

import fcntl
import hashlib
import os
import struct
import threading
from collections import Counter
from pathlib import Path

from autocreate.backends.owner_rights import owner_of, rights_of
from autocreate.errors import Temporary

# struct flock: type, whence, start, length, pid, which must be 0 for these locks.
_FLOCK = struct.Struct("@hhqqi4x")
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FileLocks:
    """Locks by name, as `SessionLocks` has them on a server. Safe to use from several threads.

    A name's lock is that of the byte whose place is a hash of it; nothing is written. It ends with the process
    that has it. The file stays: to remove it would let two processes have one lock.

    Args:
        path: of the file, which the owner of its folder will own.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._held: Counter[str] = Counter()  # how often each was taken
        self._turn = threading.Lock()

    def take(self, name: str) -> bool:
        """Take a lock. False if another process has it; this object may take it again.

        Raises:
            Temporary: the file cannot be opened or locked.
        """
        with self._turn:
            is_ours = self._lock(fcntl.F_WRLCK, name)
            if is_ours:
                self._held[name] += 1
            return is_ours

    def release(self, name: str) -> bool:
        """Give a lock up. False if this object did not have it.

        Raises:
            Temporary: as for `take`.
        """
        with self._turn:
            if name not in self._held:
                return False
            self._held[name] -= 1
            if not self._held[name]:
                del self._held[name]
                self._lock(fcntl.F_UNLCK, name)
            return True

    def close(self) -> None:
        """Give every lock up."""
        with self._turn:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1
            self._held.clear()

    def _lock(self, kind: int, name: str) -> bool:
        place = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest(), "big")
        try:
            if self._file < 0:
                with rights_of(owner_of(self._path)):
                    self._file = os.open(self._path, _FLAGS, 0o600)
            flock = _FLOCK.pack(kind, os.SEEK_SET, place, 1, 0)
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, flock)
        except BlockingIOError:
            return False
        except OSError as error:
            raise Temporary(f"locks in {self._path}: {error.strerror}") from error
        return True
