"""What has locks that end with the session that holds them: a fake, SQLite's file, PostgreSQL and MariaDB."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from sqlalchemy.engine import make_url

from autocreate.service.journal import Journal
from tests.unit.locks import FakeServer, FakeSession

from .journals import SERVERS, new_journal

KINDS = ("fake", "sqlite", *SERVERS)


class Session:
    """A session at a real server, with its end."""

    def __init__(self, journal: Journal) -> None:
        assert journal.locks
        self._journal = journal
        self.take = journal.locks.take
        self.release = journal.locks.release

    def close(self) -> None:
        self._journal.close()


Open = Callable[[], "FakeSession | Session"]


@contextlib.contextmanager
def lock_server(kind: str) -> Iterator[Open]:
    """Opens sessions at one server.

    Args:
        kind: one of KINDS.
    """
    if kind == "fake":
        fake = FakeServer()
        yield lambda: FakeSession(fake)
        return
    with new_journal(kind) as url, contextlib.ExitStack() as opened:

        def open_session() -> Session:
            session = Session(Journal(url, time.time, is_shared=True))
            opened.callback(session.close)
            return session

        yield open_session


def with_port(url: str, port: int) -> str:
    """The URL of a journal behind another port."""
    return make_url(url).set(port=port).render_as_string(hide_password=False)
