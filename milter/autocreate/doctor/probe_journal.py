"""Opens the journal as the milter does when it starts. Nothing is created or changed."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from autocreate.backends.options import SqlOptions
from autocreate.backends.owner_rights import owner_of, rights_of
from autocreate.backends.sql import Database
from autocreate.backends.sql_drivers import in_words, parsed
from autocreate.doctor.findings import Finding, advice, critical, warning
from autocreate.errors import ConfigurationError, Temporary
from autocreate.service import journal_schema
from autocreate.service.journal_engine import engine_of
from autocreate.service.journal_schema import Schema

_TIMEOUT = 5.0  # seconds

# What names a connection's session at the server.
_SESSION = {
    "postgresql": "SELECT pg_backend_pid()",
    "mysql": "SELECT CONNECTION_ID()",
    "mariadb": "SELECT CONNECTION_ID()",
}

_WHY = "new users get 451 and no mailbox; mail to existing mailboxes is accepted"


def path_of(url: str) -> Path | None:
    """The file of an SQLite journal.

    None for a database server, and for a relative path or a URI, which only the milter can resolve.
    """
    found = parsed(url)
    is_path = found.get_backend_name() == "sqlite" and (found.database or "").startswith("/")
    return Path(found.database or "") if is_path else None


def examine(url: str, password_file: Path | None, where: str = "journal.url") -> Iterator[Finding]:
    """Check that the journal can be opened.

    Args:
        url: a valid `journal.url`.
        password_file: of a database server, if its user has a password.
        where: the place of the setting, for messages.
    """
    path = path_of(url)
    try:
        if path:
            yield from _file(path, where)
        elif not url.startswith("sqlite"):
            yield from judged(_at_server(url, password_file), where)
            yield from _pooler(url, password_file, where)
    except ConfigurationError as error:
        yield critical(
            f"{where.removesuffix('url')}{error.problems[0]}",
            _WHY,
            "do what it says, or change journal.url",
        )
    except (SQLAlchemyError, Temporary) as error:
        yield critical(
            f"{where}: it cannot be used: {in_words(error)}",
            _WHY,
            "start that server, or allow the milter to connect; or change journal.url",
        )
    except PermissionError as error:
        yield warning(
            f"{where}: {error.filename or path} cannot be opened: {error.strerror}",
            "whether the milter can open its journal was not checked",
            "run this as root",
        )


def judged(schema: Schema, where: str = "journal.url") -> Iterator[Finding]:
    """What is to be said of a journal's version.

    Args:
        where: its key, as the finding names it.
    """
    what = f"{where}: its {schema.difference}"
    if schema.version > journal_schema.VERSION and schema.oldest > journal_schema.VERSION:
        yield critical(what, _WHY, "install the version of autocreate that the other MTAs have")
    elif schema.version > journal_schema.VERSION:
        yield advice(
            what,
            "the other MTAs that share it have a later version",
            "install the same version of autocreate here",
        )
    elif schema.difference:
        yield warning(
            what,
            "processes upgrade it when they start, if their database user may create tables",
            "run autocreate journal upgrade, as docs/upgrade.md says",
        )
    if schema.missing:
        yield warning(
            f"{where}: it has no tables {', '.join(schema.missing)}",
            "somebody dropped them; processes create them again when they need them",
            "run autocreate journal upgrade, and autocreate audit --trees",
        )


def version_of_file(path: Path) -> Schema:
    """The version of an SQLite journal. Creates and changes nothing.

    Raises:
        OSError: it may not be read.
        sqlite3.Error, sqlalchemy.exc.SQLAlchemyError: it is no database.
    """
    with rights_of(owner_of(path)):
        if path.is_file():
            path.open("rb").close()  # SQLite's error would not name the missing permission
        return _read(path)


def _at_server(url: str, password_file: Path | None) -> Schema:
    engine = engine_of(url, password_file, _TIMEOUT).engine
    try:
        with engine.begin() as connection:
            return journal_schema.found(connection)
    finally:
        engine.dispose()


def _pooler(url: str, password_file: Path | None, where: str) -> Iterator[Finding]:
    """Check that each connection has a session of its own."""
    options = SqlOptions("journal", url, password_file, _TIMEOUT, 1)
    query = sa.text(_SESSION.get(parsed(url).get_backend_name(), "SELECT NULL"))
    with closing(Database(options)) as one, closing(Database(options)) as two:
        sessions = [database.select(query, {})[0][0] for database in (one, two)]
    # Both connections were open. A pooler gives the second what the first has just used.
    if sessions[0] is not None and sessions[0] == sessions[1]:
        yield warning(
            f"{where}: two connections have one session: a pooler gives each transaction another one",
            "MTAs that share the journal may do work twice, and do not hear of each other",
            "name the database server itself in journal.url, or let the pooler pool sessions "
            "(pgbouncer: pool_mode = session)",
        )


def _file(path: Path, where: str) -> Iterator[Finding]:
    if not path.parent.is_dir():
        yield critical(
            f"{where}: the folder {path.parent} does not exist",
            _WHY,
            f"install -d -o autocreate -g autocreate -m 750 {path.parent}; or change journal.url",
        )
        return
    if path.is_symlink() and (owner := path.lstat().st_uid):
        yield warning(
            f"{where}: {path} is a link of user id {owner}",
            "commands that root runs follow it with the rights of that user only",
            f"name the file that it leads to in journal.url; or chown -h root {path}",
        )
    if not path.exists():
        return  # the milter creates it
    try:
        yield from judged(version_of_file(path), where)
    except (sqlite3.Error, SQLAlchemyError) as problem:
        error = getattr(problem, "orig", None) or problem
        if isinstance(error, sqlite3.OperationalError) and not os.access(path.parent, os.W_OK):
            raise PermissionError(0, str(error), str(path)) from problem
        yield critical(
            f"{where}: {path} cannot be opened: {error}",
            _WHY,
            "move it away: the milter creates a new one, and autocreate audit --trees shows the "
            "unfinished mailboxes",
        )


def _read(path: Path) -> Schema:
    # Opening a file that no process uses would create two others in its folder.
    is_used = any(Path(f"{path}{end}").exists() for end in ("-wal", "-journal"))
    location = f"{path.as_uri()}?mode=ro" + ("" if is_used else "&immutable=1")
    with closing(sqlite3.connect(location, uri=True, timeout=_TIMEOUT)) as raw:
        engine = sa.create_engine("sqlite://", creator=lambda: raw, poolclass=sa.StaticPool)
        with engine.begin() as connection:
            return journal_schema.found(connection)
