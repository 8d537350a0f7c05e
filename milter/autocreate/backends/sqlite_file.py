"""The file of an SQLite database that a process keeps open, and that may be replaced meanwhile."""

import contextlib
import os
from typing import Any
from urllib.parse import unquote, urlsplit

# Device and inode of what is not there, and of none that could be.
_NOTHING = (0, 0)
_NONE = (-1, -1)

# What belongs to a database that is open in WAL mode, besides its file.
_COMPANIONS = ("-wal", "-shm")


class SqliteFile:
    """The file of a database that is written to, and may be lost.

    Args:
        database: its path; a database in memory, or at a server, has none.
    """

    def __init__(self, database: str | None) -> None:
        is_path = database and database != ":memory:" and not database.startswith("file:")
        self._path = database if database and is_path else ""
        self._opened = _NOTHING
        self._companions: dict[str, tuple[int, int]] = {}

    def make(self) -> None:
        """Make a missing file belong to its folder's owner, whoever makes it.

        The first to open it may be root with a shell command, and the process that serves must be
        able to write it afterwards. SQLite itself sees to its other files.
        """
        if not self._path or os.geteuid() != 0:
            return
        with contextlib.suppress(OSError):  # what is wrong will be said when it is opened
            folder = os.stat(os.path.dirname(self._path) or ".")
            made = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
            try:
                os.fchown(made, folder.st_uid, folder.st_gid)
            finally:
                os.close(made)

    def opened(self) -> None:
        """Note that the files at the path are those that are open."""
        self._opened = _found(self._path)
        found = {end: _found(self._path + end) for end in _COMPANIONS if self._path}
        self._companions = {end: it for end, it in found.items() if it != _NOTHING}

    def closed(self) -> None:
        """Note that none is open: a new one may get the very inode that the old one had."""
        self._opened = _NONE
        self._companions = {}

    @property
    def lost(self) -> str:
        """Which of the open files is no longer at its path; "" if all are.

        While anybody has the database open, SQLite itself replaces none of them.
        """
        if _found(self._path) != self._opened:
            return self._path
        for end, opened in self._companions.items():
            if _found(self._path + end) != opened:
                return self._path + end
        return ""


def prepare(connection: Any, _record: Any) -> None:
    """Readers beside a writer, and a wait instead of "database is locked" (sqlite.org/wal.html).

    `synchronous` is FULL: what was written must survive a power cut.
    """
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA busy_timeout=2000")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def path_of(database: str) -> str:
    """The path of a database that is named by it, or by a URI (sqlite.org/uri.html)."""
    return unquote(urlsplit(database).path) if database.startswith("file:") else database


def _found(path: str) -> tuple[int, int]:
    """Which file is at the path now."""
    try:
        found = os.stat(path)
    except OSError:
        return _NOTHING
    return found.st_dev, found.st_ino
