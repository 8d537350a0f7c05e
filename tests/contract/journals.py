"""Databases in which a journal can be made."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from autocreate.backends.sql_drivers import parsed
from tests.servers.mariadb import MariaDb
from tests.servers.postgres import Postgres

SERVERS = ("postgresql", "mariadb")


@contextlib.contextmanager
def new_journal(kind: str) -> Iterator[str]:
    """The URL of an empty database. The driver is ours to know.

    Args:
        kind: "sqlite", or one of SERVERS.
    """
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="autocreate-test-") as folder:
            yield f"sqlite:///{folder}/journal.db"
    elif kind == "postgresql":
        with Postgres() as postgres:
            postgres.execute(f"GRANT CREATE ON SCHEMA public TO {postgres.user}")
            url = make_url(postgres.url).set(drivername="postgresql", password=postgres.password)
            yield url.render_as_string(hide_password=False)
    else:
        with MariaDb() as mariadb:
            mariadb.execute("CREATE DATABASE journal CHARACTER SET utf8mb4")
            mariadb.execute(f"GRANT ALL ON journal.* TO {mariadb.user}")
            url = make_url(mariadb.url).set(drivername="mariadb", password=mariadb.password)
            yield url.set(database="journal").render_as_string(hide_password=False)


@contextlib.contextmanager
def journal_server(kind: str) -> Iterator[Callable[[], str]]:
    """Makes as many empty databases as are asked for, on one server: the URL of each."""
    numbers = itertools.count(1)
    with contextlib.ExitStack() as stack:
        if kind == "sqlite":
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="autocreate-test-"))
            yield lambda: f"sqlite:///{folder}/journal{next(numbers)}.db"
            return
        server: Postgres | MariaDb = Postgres() if kind == "postgresql" else MariaDb()
        stack.enter_context(server)
        url = make_url(server.url).set(drivername=kind, password=server.password)

        def make() -> str:
            name = f"journal{next(numbers)}"
            if kind == "postgresql":
                server.execute(f"CREATE DATABASE {name} OWNER {server.user}")
            else:
                server.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
                server.execute(f"GRANT ALL ON {name}.* TO {server.user}")
            return url.set(database=name).render_as_string(hide_password=False)

        yield make


OLD_JOURNALS = Path(__file__).with_name("old_journals")


def load_dump(url: str, dump: Path) -> None:
    """Fill an empty database."""
    text = dump.read_text()
    place = parsed(url)
    if place.get_backend_name() == "sqlite":
        with contextlib.closing(sqlite3.connect(place.database or "")) as database:
            database.executescript(text)
        return
    engine = sa.create_engine(place, isolation_level="AUTOCOMMIT")
    # MariaDB takes one statement at a time, and its dumps have each on a line of its own.
    statements = [text] if dump.stem.endswith("postgresql") else text.splitlines()
    with engine.connect() as connection:
        raw = connection.connection.cursor()
        for statement in statements:
            raw.execute(statement)
    engine.dispose()


def all_rows(url: str) -> dict[str, list[dict[str, object]]]:
    """Every row of every table, as the database has it."""
    engine = sa.create_engine(parsed(url))
    with engine.connect() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        rows = {
            name: [dict(row._mapping) for row in connection.execute(sa.select(table))]
            for name, table in tables.tables.items()
        }
    engine.dispose()
    return rows


def execute(url: str, *statements: str) -> None:
    """What somebody else does to a journal."""
    engine = sa.create_engine(parsed(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()
