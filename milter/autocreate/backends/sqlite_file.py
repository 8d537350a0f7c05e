"""The file of an SQLite database that a process keeps open while others may replace it."""

import contextlib
import os
import sqlite3
from typing import Any
from urllib.parse import unquote, urlsplit

from autocreate.backends.owner_rights import owner_of, rights_of

# Device and inode of a missing file, and ones that no file has.
_NOTHING = (0, 0)
_NONE = (-1, -1)

# The other files of a database that is open in WAL mode.
_COMPANIONS = ("-wal", "-shm")


class SqliteFile:
    """The file of a database that this process writes, and that may be lost.

    Args:
        database: its path; a database in memory or on a server has no file.
    """

    def __init__(self, database: str | None) -> None:
        is_path = database and database != ":memory:" and not database.startswith("file:")
        self._path = database if database and is_path else ""
        self._place = "" if database in (None, "", ":memory:") else path_of(database or "")
        self._opened = _NOTHING
        self._companions: dict[str, tuple[int, int]] = {}

    def make(self) -> None:
        """Create a missing file so that the owner of its folder owns it, and others cannot read it.

        Root may be the first to open it, with a command, and the process that serves must be able to
        write it afterwards. SQLite creates its other files likewise.
        """
        if not self._path or os.geteuid() != 0:
            return
        with contextlib.suppress(OSError), rights_of(owner_of(self._path)):
            # An error shows when the file is opened.
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640))

    def connect(self, dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        """A connection, for SQLAlchemy's event `do_connect`. It opens the database, its -wal and its -shm.

        Root does so with the rights of the user whose folder it is: see `owner_rights`.
        """
        try:
            with rights_of(owner_of(self._place) if self._place else None):
                connection = dialect.connect(*arguments, **options)
                prepare(connection)
                return connection
        except OSError as error:
            raise sqlite3.OperationalError(error.strerror) from error

    def opened(self) -> None:
        """Remember that the files at the path are the open ones."""
        self._opened = _found(self._path)
        found = {end: _found(self._path + end) for end in _COMPANIONS if self._path}
        self._companions = {end: it for end, it in found.items() if it != _NOTHING}

    def closed(self) -> None:
        """Remember that no file is open: a new one may get the inode of the old one."""
        self._opened = _NONE
        self._companions = {}

    @property
    def lost(self) -> str:
        """The path of an open file that is no longer there; "" if all are.

        SQLite itself does not replace them while the database is open.
        """
        if _found(self._path) != self._opened:
            return self._path
        for end, opened in self._companions.items():
            if _found(self._path + end) != opened:
                return self._path + end
        return ""


def prepare(connection: Any) -> None:
    """Open the files. Let readers work beside a writer (sqlite.org/wal.html).

    `synchronous` is FULL: a commit must survive a power failure.
    """
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def path_of(database: str) -> str:
    """The path of a database, which may be named by a URI (sqlite.org/uri.html)."""
    return unquote(urlsplit(database).path) if database.startswith("file:") else database


def _found(path: str) -> tuple[int, int]:
    """Device and inode of the file at the path now."""
    try:
        found = os.stat(path)
    except OSError:
        return _NOTHING
    return found.st_dev, found.st_ino
