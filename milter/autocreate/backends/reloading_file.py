"""A text file that another program writes, parsed once for each version of it.

The file may be read while it is being written. So something that is missing in a file that was changed less
than two seconds ago may exist all the same (Postfix treats fresh files in the same way).

A new version is read and parsed in a thread of its own, however large it is. Until it is there, the version before
it answers, for a few seconds: it may say yes, and never no (docs/decisions/0045). It is parsed piece by piece, so
that Python can run other threads in between; and not at all if it has the same bytes as before
(docs/decisions/0052).
"""

import codecs
import contextlib
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from autocreate.backends.regular_file import Rules, read_regular
from autocreate.errors import MalformedValue, NotInMemory, Temporary

log = logging.getLogger(__name__)

# Seconds without a change after which a file is complete.
_SETTLED = 2.0
# Seconds since a new version began to be read for which lookups wait for it: nearly all files are read by then.
_AT_ONCE = 0.5
# Seconds for which the version before a change may be used, and a lookup waits where there is none.
_LONGEST = 10.0
# Bytes that are parsed at a time: a few milliseconds, as long as Python lets one thread run while others wait.
_PIECE = 1 << 16
_DIGEST = 32  # bytes

T = TypeVar("T")


class Reading(NamedTuple, Generic[T]):
    """What a file said when it was asked.

    Args:
        uncertainty: why the file may have more than `content` now; "" if it has not.
        owner: the id of the user who owns the file.
        is_outdated: the file has changed, and this is the version before. Nobody is refused because of it.
    """

    content: T
    uncertainty: str
    owner: int
    is_outdated: bool = False


class ReloadingFile(Generic[T]):
    """The content of a file. Safe to use from several threads.

    Args:
        path: the file, in UTF-8.
        parse: makes the content from the text, which comes in pieces of whole lines that end with a line feed.
            Nothing in `parse` may take long at a time, but all of it may.
        clock: the time in seconds since the epoch.
        errors: how to treat bytes that are not UTF-8, as in `bytes.decode`.
        rules: what the file must be like.
        at_once: seconds for which lookups wait for a new version, since it began to be read, while there is an
            older one.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[Iterator[str]], T],
        clock: Callable[[], float] = time.time,
        errors: str = "strict",
        rules: Rules = Rules(),  # noqa: B008 -- immutable
        at_once: float = _AT_ONCE,
    ) -> None:
        self._errors = errors
        self.path = path
        self._parse = parse
        self._clock = clock
        self._rules = rules
        self._at_once = at_once
        self._lock = threading.Lock()
        self._current: _Version[T] | None = None
        self._failed: tuple[tuple[int, ...], str] = ((), "")
        self._load: _Load | None = None
        self._changed = 0.0  # when a change was first seen that has not been read since

    def read(self, may_wait: bool = True) -> Reading[T]:
        """The content of the file as it is now, or was a few seconds ago if it has just changed.

        Args:
            may_wait: for a version that has not been read yet.

        Raises:
            NotInMemory: there is one, and it may not.
            Temporary: the file cannot be read, breaks a rule of `read_regular`, is not UTF-8, changes while it
                is read, or takes too long.
        """
        asked = time.monotonic()
        while True:
            load = self._wanted()
            if isinstance(load, Reading):
                return load
            if not may_wait:
                raise NotInMemory(f"{self.path} is being read")
            now = time.monotonic()
            older = self._current if now < load.outdated + _LONGEST else None
            until = min(asked, load.begun) + self._at_once if older else asked + _LONGEST
            if not load.ended.wait(until - now):
                return self._outdated(older)
            if isinstance(load.error, Temporary):
                raise Temporary(str(load.error)) from load.error
            if load.error:
                raise load.error

    def load(self, until: float) -> None:
        """Read the file before the first lookup. If it cannot be read, each lookup says so, and this does not.

        Args:
            until: how long to wait, by the monotonic clock.
        """
        with contextlib.suppress(Temporary):
            load = self._wanted()
            if isinstance(load, _Load) and not load.ended.wait(until - time.monotonic()):
                log.warning("%s is still being read; until then its lookups fail (451)", self.path)

    def _wanted(self) -> "Reading[T] | _Load":
        """What this version of the file says, or the thread that reads it."""
        try:
            found = version(os.stat(self.path))
        except (OSError, ValueError) as error:
            raise Temporary(f"{self.path} cannot be read: {error}") from error
        with self._lock:
            current = self._current
            if current and current.version == found:
                is_fresh = not is_settled(current.written, self._clock())
                fresh = f"{self.path} was changed less than 2 seconds ago and may be incomplete"
                return Reading(current.content, fresh if is_fresh else "", current.owner)
            if self._failed[0] == found:
                raise Temporary(self._failed[1])
            if self._load is None:
                self._changed = self._changed or time.monotonic()
                self._load = self._started()
            return self._load

    def _outdated(self, older: "_Version[T] | None") -> Reading[T]:
        """What the version before the change said."""
        text = f"{self.path} was changed and is still being read"
        if older is None:
            raise Temporary(text)
        return Reading(older.content, text, older.owner, is_outdated=True)

    def _started(self) -> "_Load":
        load = _Load(self._changed)
        threading.Thread(target=self._run, args=(load,), name="file", daemon=True).start()
        return load

    def _run(self, load: "_Load") -> None:
        """Read the file, and swap the new version in."""
        read: _Version[T] | None = None
        failed: tuple[tuple[int, ...], str] = ((), "")
        try:
            read = self._read()
        except _Unusable as error:
            failed, load.error = (error.version, str(error)), error
        except Exception as error:
            load.error = error
        with self._lock:
            self._load = None
            self._failed = failed
            if read:
                self._current, self._changed = read, 0.0
        load.ended.set()

    def _read(self) -> "_Version[T]":
        try:
            opened = read_regular(self.path, self._rules)
            now = version(opened.status)
            if len(opened.data) != opened.status.st_size or now != version(os.stat(self.path)):
                raise Temporary(f"{self.path} changes while it is read")
        except OSError as error:
            raise Temporary(f"{self.path} cannot be read: {error.strerror}") from error
        digest = hashlib.blake2b(opened.data, digest_size=_DIGEST).digest()
        before = self._current
        try:
            if before and before.digest == digest:
                content = before.content
            else:
                content = self._parse(_pieces(opened.data, self._errors))
        except MalformedValue as error:
            raise _Unusable(f"{self.path} cannot be read: {error}", now) from error
        return _Version(content, digest, now, opened.status.st_mtime, opened.status.st_uid)


@dataclass(frozen=True, slots=True)
class _Version(Generic[T]):
    """A version of the file that was read."""

    content: T
    digest: bytes
    version: tuple[int, ...]
    written: float
    owner: int


class _Load:
    """A version that is being read.

    Args:
        outdated: since when the version before it is, by the monotonic clock.
    """

    def __init__(self, outdated: float) -> None:
        self.outdated = outdated
        self.begun = time.monotonic()
        self.ended = threading.Event()
        self.error: Exception | None = None


class _Unusable(Temporary):
    """This version of the file has no meaning, however often it is read."""

    def __init__(self, text: str, version: tuple[int, ...]) -> None:
        super().__init__(text)
        self.version = version


def _pieces(data: bytes, errors: str) -> Iterator[str]:
    """The text of a file, a piece after the other, with a line feed for each end of a line.

    Raises:
        MalformedValue: it is not UTF-8.
    """
    # Without the byte order mark that some editors write.
    begin = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    while begin < len(data):
        end = data.find(b"\n", begin + _PIECE) + 1 or len(data)
        try:
            text = data[begin:end].decode(errors=errors)
        except UnicodeDecodeError as error:
            at = begin + error.start
            raise MalformedValue(
                f"'utf-8' codec can't decode byte {data[at]:#04x} in position {at:,}: {error.reason}"
            ) from error
        yield text.replace("\r\n", "\n").replace("\r", "\n")
        begin = end


def is_settled(written: float, now: float) -> bool:
    """Was a file last changed so long ago that it is complete?"""
    return abs(now - written) >= _SETTLED


def version(found: os.stat_result) -> tuple[int, ...]:
    """A value that changes whenever the file does."""
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
