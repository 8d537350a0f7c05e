"""Work on whole journals: what one has, its upgrade, and a copy of it in another database."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from autocreate.backends.sql_drivers import in_words
from autocreate.backends.sqlite_file import path_of
from autocreate.errors import AutocreateError, Temporary
from autocreate.service import journal_schema
from autocreate.service.journal_copy import Copied, JournalCopy
from autocreate.service.journal_engine import Opened, engine_of
from autocreate.service.journal_schema import Schema, Step
from autocreate.service.journal_tables import METADATA, SCHEMA_VERSION

# Seconds for one answer: an administrator waits for a step or a count of millions of rows.
_TIMEOUT = 600.0
# Seconds for SQLite's lock, which a process that serves needs for some milliseconds at a time.
_LOCK_TIMEOUT = 30.0


class Impossible(AutocreateError):
    """A journal that cannot be copied, whatever is tried again."""

    exit_status = 65  # EX_DATAERR


class Place(NamedTuple):
    """Where a journal is: see `engine_of`."""

    url: str
    password_file: Path | None = None


@dataclass(frozen=True)
class Contents:
    """What a journal has.

    Args:
        place: its URL, without secrets.
        rows: by table.
    """

    place: str
    schema: Schema
    rows: dict[str, int]


def contents(place: Place) -> Contents:
    """Count what is in a journal. Creates nothing.

    Raises:
        ConfigurationError: the URL cannot be used.
        Temporary: the database cannot be used.
    """
    with _opened(place) as journal:
        name = journal.name.removeprefix("journal ")
        if not _exists(journal):
            return Contents(name, Schema(0), {})
        with journal.engine.begin() as connection:
            there = sa.inspect(connection)
            rows = {
                table.name: connection.execute(
                    sa.select(sa.func.count()).select_from(table)
                ).scalar_one()
                for table in METADATA.tables.values()
                if table is not SCHEMA_VERSION and there.has_table(table.name)
            }
            return Contents(name, journal_schema.found(connection), rows)


def upgrade(place: Place) -> tuple[Schema, list[Step]]:
    """Bring a journal to the present version, or create it. What it was, and the steps that were taken.

    Raises:
        ConfigurationError, Temporary: as for `contents`.
    """
    with _opened(place) as journal:
        return _upgraded(journal)


def copy(source: Place, target: Place, progress: Callable[[str, int], None]) -> Iterator[Copied]:
    """Copy a journal into another database, table by table. The other one is created or upgraded.

    Raises:
        Impossible: they are the same, or there is nothing to copy.
        ConfigurationError, Temporary: as for `contents`.
    """
    with _opened(source) as old, _opened(target) as new:
        _require_source(old)
        if _is_same(old, new):
            raise Impossible(f"{old.name} is both the source and the target: name two journals")
        _upgraded(new)
        yield from JournalCopy(old, new, progress).tables()


def _require_source(source: Opened) -> None:
    if not _exists(source):
        raise Impossible(f"{source.name} does not exist: check the path")
    with source.engine.begin() as connection:
        schema = journal_schema.found(connection)
    if not schema.version:
        raise Impossible(f"{source.name} has no tables of a journal: check the URL")
    schema.require_usable()
    if schema.version < journal_schema.OLDEST_USABLE or schema.missing:
        raise Impossible(
            f"{source.name}: its {schema.difference or 'tables are not complete'}: run autocreate "
            "journal upgrade for it first; processes that use it go on"
        )


def _is_same(one: Opened, other: Opened) -> bool:
    ours, theirs = one.engine.url, other.engine.url
    if one.engine.dialect.name == other.engine.dialect.name == "sqlite":
        places = [path_of(url.database or "") for url in (ours, theirs)]
        return os.path.realpath(places[0]) == os.path.realpath(places[1]) or (
            all(map(os.path.exists, places)) and os.path.samefile(*places)
        )
    return (ours.get_backend_name(), ours.host, ours.port, ours.database) == (
        *(theirs.get_backend_name(), theirs.host, theirs.port, theirs.database),
    )


def _exists(journal: Opened) -> bool:
    if journal.engine.dialect.name != "sqlite":
        return True
    return os.path.exists(path_of(journal.engine.url.database or ""))


def _upgraded(journal: Opened) -> tuple[Schema, list[Step]]:
    journal.file.make()
    with journal.engine.begin() as connection:
        before = journal_schema.found(connection)
    with journal.engine.begin() as connection:
        return before, journal_schema.upgrade(connection, timeout=_LOCK_TIMEOUT)


@contextmanager
def _opened(place: Place) -> Iterator[Opened]:
    journal = engine_of(place.url, place.password_file, _TIMEOUT)
    try:
        yield journal
    except SQLAlchemyError as error:
        raise Temporary(f"{journal.name} cannot be used: {in_words(error)}") from error
    except journal_schema.Unusable as error:
        raise Temporary(f"{journal.name}: {error}; {error.remedy}") from error
    finally:
        journal.engine.dispose()
