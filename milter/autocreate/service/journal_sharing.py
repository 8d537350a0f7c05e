"""What processes that share a journal have beside its rows: locks, and a channel for messages.

On a server it follows from the URL. An SQLite file is shared by processes of one machine, where the configuration
says so: `milter.processes`. See docs/decisions/0087.
"""

from pathlib import Path

from sqlalchemy.engine import URL

from autocreate.backends.file_locks import FileLocks
from autocreate.backends.local_channel import LocalChannel
from autocreate.backends.postgres_channel import PostgresChannel
from autocreate.backends.sql_locks import SessionLocks, has_locks
from autocreate.backends.sqlite_file import path_of
from autocreate.resilience.breaker import Breaker


def locks_of(
    url: URL, is_shared: bool, timeout: float, breaker: Breaker
) -> SessionLocks | FileLocks | None:
    """Locks among all that use this database, to be closed by the caller; None if there are none.

    Args:
        is_shared: processes on this machine share an SQLite file.
        timeout: seconds for a connection, and for each answer of a server.
        breaker: of the server.
    """
    if file := _shared_file(url, is_shared):
        return FileLocks(file.with_name(f"{file.name}-turns"))
    return SessionLocks(url, timeout, breaker) if has_locks(url) else None


def channel_of(url: URL, is_shared: bool, timeout: float) -> PostgresChannel | LocalChannel | None:
    """Passes messages on to all that use this database; None if nothing does.

    Args:
        is_shared, timeout: as for `locks_of`.
    """
    if file := _shared_file(url, is_shared):
        return LocalChannel(file.with_name(f"{file.name}-messages"), timeout)
    if url.get_backend_name() == "postgresql":
        return PostgresChannel(url, "autocreate", timeout)
    return None


def _shared_file(url: URL, is_shared: bool) -> Path | None:
    if not is_shared or url.get_backend_name() != "sqlite":
        return None
    place = path_of(url.database or "")
    return Path(place) if place and place != ":memory:" else None
