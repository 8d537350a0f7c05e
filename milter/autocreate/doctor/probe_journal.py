"""Opens the journal as the milter does when it starts. Nothing is created or changed."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from autocreate.backends.options import SqlOptions
from autocreate.backends.owner_rights import owner_of, rights_of
from autocreate.backends.sql import Database
from autocreate.backends.sql_drivers import parsed
from autocreate.doctor.findings import Finding, critical, warning
from autocreate.errors import ConfigurationError, Temporary

_TIMEOUT = 5.0  # seconds

_WHY = "new users get 451 and no mailbox; mail to existing mailboxes is accepted"


def path_of(url: str) -> Path | None:
    """The file of an SQLite journal.

    None for a database server, and for a relative path or a URI, which only the milter can resolve.
    """
    found = parsed(url)
    is_path = found.get_backend_name() == "sqlite" and (found.database or "").startswith("/")
    return Path(found.database or "") if is_path else None


def examine(url: str, password_file: Path | None) -> Iterator[Finding]:
    """Check that the journal can be opened.

    Args:
        url: a valid `journal.url`.
        password_file: of a database server, if its user has a password.
    """
    path = path_of(url)
    try:
        if path:
            yield from _file(path)
        elif not url.startswith("sqlite"):
            with closing(
                Database(SqlOptions("journal", url, password_file, _TIMEOUT, 1))
            ) as database:
                database.select(sa.text("SELECT 1"), {})
    except ConfigurationError as error:
        yield critical(
            f"journal.{error.problems[0]}", _WHY, "do what it says, or change journal.url"
        )
    except Temporary as error:
        yield critical(
            f"journal.url: {error}",
            _WHY,
            "start that server, or allow the milter to connect; or change journal.url",
        )
    except PermissionError as error:
        yield warning(
            f"journal.url: {error.filename or path} cannot be opened: {error.strerror}",
            "whether the milter can open its journal was not checked",
            "run this as root",
        )


def _file(path: Path) -> Iterator[Finding]:
    if not path.parent.is_dir():
        yield critical(
            f"journal.url: the folder {path.parent} does not exist",
            _WHY,
            f"install -d -o autocreate -g autocreate -m 750 {path.parent}; or change journal.url",
        )
        return
    if path.is_symlink() and (owner := path.lstat().st_uid):
        yield warning(
            f"journal.url: {path} is a link of user id {owner}",
            "commands that root runs follow it with the rights of that user only",
            f"name the file that it leads to in journal.url; or chown -h root {path}",
        )
    if not path.exists():
        return  # the milter creates it
    try:
        with rights_of(owner_of(path)):
            if path.is_file():
                path.open("rb").close()  # SQLite's error would not name the missing permission
            _read(path)
    except sqlite3.Error as error:
        if isinstance(error, sqlite3.OperationalError) and not os.access(path.parent, os.W_OK):
            raise PermissionError(0, str(error), str(path)) from error
        yield critical(
            f"journal.url: {path} cannot be opened: {error}",
            _WHY,
            "move it away: the milter creates a new one, and autocreate audit --trees shows the "
            "unfinished mailboxes",
        )


def _read(path: Path) -> None:
    # Opening a file that no process uses would create two others in its folder.
    is_used = any(Path(f"{path}{end}").exists() for end in ("-wal", "-journal"))
    location = f"{path.as_uri()}?mode=ro" + ("" if is_used else "&immutable=1")
    with closing(sqlite3.connect(location, uri=True, timeout=_TIMEOUT)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
