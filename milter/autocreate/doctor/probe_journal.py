"""The journal, as the milter finds it at its start: does it open? Nothing is made, nor changed."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from autocreate.backends.options import SqlOptions
from autocreate.backends.sql import Database
from autocreate.backends.sql_drivers import parsed
from autocreate.doctor.findings import Finding, critical, warning
from autocreate.errors import ConfigurationError, Temporary

_TIMEOUT = 5.0  # seconds

_WHY = "new users get 451 and no mailbox; mail to existing mailboxes is accepted"


def path_of(url: str) -> Path | None:
    """The file of a journal on SQLite; None for one at a server, or if only the milter can tell, since its
    path is relative or a URI."""
    found = parsed(url)
    is_path = found.get_backend_name() == "sqlite" and (found.database or "").startswith("/")
    return Path(found.database or "") if is_path else None


def examine(url: str) -> Iterator[Finding]:
    """What keeps us from the journal at a URL that is one."""
    path = path_of(url)
    try:
        if path:
            yield from _file(path)
        elif not url.startswith("sqlite"):
            with closing(Database(SqlOptions("journal", url, None, _TIMEOUT, 1))) as database:
                database.select(sa.text("SELECT 1"), {})
    except ConfigurationError as error:
        yield critical(f"journal.{error.problems[0]}", _WHY, "as it says; or another journal.url")
    except Temporary as error:
        yield critical(
            f"journal.url: {error}", _WHY, "start that server, or let us in; or another journal.url"
        )
    except PermissionError as error:
        yield warning(
            f"journal.url: {error.filename or path} cannot be looked at: {error.strerror}",
            "whether the milter can open its journal was not seen",
            "run this as root",
        )


def _file(path: Path) -> Iterator[Finding]:
    if not path.parent.is_dir():
        yield critical(
            f"journal.url: there is no folder {path.parent}",
            _WHY,
            f"install -d -o autocreate -g autocreate -m 750 {path.parent}; or another journal.url",
        )
        return
    if not path.exists():
        return  # the milter makes it
    if path.is_file():
        path.open("rb").close()  # SQLite would not say that it is a matter of rights
    try:
        _read(path)
    except sqlite3.Error as error:
        if isinstance(error, sqlite3.OperationalError) and not os.access(path.parent, os.W_OK):
            raise PermissionError(0, str(error), str(path)) from error
        yield critical(
            f"journal.url: {path} cannot be opened: {error}",
            _WHY,
            "move it away: a new one is made at once, and autocreate audit --trees tells what "
            "was unfinished",
        )


def _read(path: Path) -> None:
    # Who opens a file that nobody uses would make two others beside it.
    is_used = any(Path(f"{path}{end}").exists() for end in ("-wal", "-journal"))
    location = f"{path.as_uri()}?mode=ro" + ("" if is_used else "&immutable=1")
    with closing(sqlite3.connect(location, uri=True, timeout=_TIMEOUT)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
