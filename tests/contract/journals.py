"""Databases in which a journal can be made."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator

from sqlalchemy.engine import make_url

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
