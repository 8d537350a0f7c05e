"""What changed, as each real source tells it: a new account is found, an old one is not, and what is away is said."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from autocreate.accounts import sql_changes
from autocreate.accounts.changes import Tracker
from autocreate.backends.options import SqlOptions
from autocreate.backends.sql import Database
from autocreate.config.accounts import Accounts
from autocreate.config.watch import Watch
from autocreate.errors import Temporary
from autocreate.watch.following import Follower
from autocreate.wiring.watch import tracker_of
from tests.configured import account_source, section
from tests.servers.berkeley import sasldb_key, write_hash
from tests.servers.common import secret_file, wait_until
from tests.servers.mariadb import MariaDb
from tests.servers.postgres import Postgres
from tests.servers.slapd import PEOPLE, Slapd

from .databases import moved_away

OVERLAP = 60.0
SETTINGS = Watch(every=5.0, list_every=60.0, overlap=OVERLAP)
DAY = 86400


class Site(ABC):
    """A real source, and what looks for new accounts in it."""

    keys: dict[str, Any]
    kind: str

    def tracker(self) -> tuple[Tracker, Follower | None]:
        source = account_source(self.kind, **self.keys)

        def names() -> Iterator[str]:
            found = source.names()
            assert found is not None
            return found

        return tracker_of("it", section(Accounts, self.kind, **self.keys), SETTINGS, names)

    @abstractmethod
    def add(self, user: str, ago: int = 0) -> None:
        """A new account, that was added so many seconds ago."""

    @abstractmethod
    def away(self) -> AbstractContextManager[None]:
        """Meanwhile it cannot be asked."""


class Sqlite(Site):
    kind = "sql"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "accounts.db"
        self._execute("CREATE TABLE accounts (userid TEXT, changed INTEGER)")
        self.keys = {
            "url": f"sqlite:///{self._path}",
            "query": "SELECT userid FROM accounts WHERE userid = :user",
            "changed_query": "SELECT userid FROM accounts WHERE changed >= :since",
        }

    def add(self, user: str, ago: int = 0) -> None:
        self._execute("INSERT INTO accounts VALUES (?, ?)", user, int(time.time()) - ago)

    def away(self) -> AbstractContextManager[None]:
        return moved_away(self._path)

    def _execute(self, statement: str, *values: object) -> None:
        with contextlib.closing(sqlite3.connect(self._path)) as database, database:
            database.execute(statement, values)


class Server(Site):
    """A database whose rows have a time of a type of its own, in a session's time zone."""

    kind = "sql"

    def __init__(self, server: Postgres | MariaDb, folder: Path, type_: str, changed: str) -> None:
        self._server = server
        server.execute("DROP TABLE IF EXISTS dated")
        server.execute(f"CREATE TABLE dated (userid varchar(100), changed {type_})")
        server.execute(f"GRANT SELECT ON dated TO {server.user}")
        self._changed = changed
        self.keys = {
            "url": server.url,
            "password_file": secret_file(folder, server.password),
            "query": "SELECT userid FROM dated WHERE userid = :user",
            "changed_query": f"SELECT userid FROM dated WHERE changed >= {changed}",
        }

    def add(self, user: str, ago: int = 0) -> None:
        at = self._changed.replace(":since", str(int(time.time()) - ago))
        self._server.execute(f"INSERT INTO dated VALUES ('{user}', {at})")

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        self._server.stop()
        yield
        self._server.start()


class Directory(Site):
    kind = "ldap"

    def __init__(self, server: Slapd, folder: Path) -> None:
        self._server = server
        server.put({})
        self.keys = {
            "urls": [server.url],
            "ca_file": server.certificate.ca_file,
            "bind_dn": server.reader,
            "password_file": secret_file(folder, server.reader_password),
            "base": PEOPLE,
        }

    def add(self, user: str, ago: int = 0) -> None:
        times = {}
        if ago:
            at = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() - ago))
            times = {"modifyTimestamp": at}
        self._server.add(
            f"cn={user},{PEOPLE}",
            **{"objectClass": "inetOrgPerson", "sn": "x", "uid": user, **times},
        )

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        self._server.stop()
        yield
        self._server.start()


class File(Site):
    kind = "file"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "users"
        self._path.write_text("# none yet\n")
        self.keys = {"path": self._path}

    def add(self, user: str, ago: int = 0) -> None:
        with self._path.open("a") as file:
            file.write(f"{user}\n")

    def away(self) -> AbstractContextManager[None]:
        return moved_away(self._path)


class Sasldb(Site):
    kind = "sasldb"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "sasldb2"
        self._users: list[str] = []
        self.keys = {"path": self._path, "realm": "example.org"}
        self.add("first")

    def add(self, user: str, ago: int = 0) -> None:
        self._users.append(user)
        keys = (sasldb_key(it, "example.org") for it in self._users)
        write_hash(self._path, ((key, b"geheim") for key in keys))

    def away(self) -> AbstractContextManager[None]:
        return moved_away(self._path)


@contextlib.contextmanager
def _postgres(folder: Path) -> Iterator[Site]:
    with Postgres() as server:
        server.execute("ALTER DATABASE mail SET timezone TO 'America/Los_Angeles'")
        yield Server(server, folder, "timestamp with time zone", "to_timestamp(:since)")


@contextlib.contextmanager
def _mariadb(folder: Path) -> Iterator[Site]:
    with MariaDb() as server:
        yield Server(server, folder, "datetime", "from_unixtime(:since)")


@contextlib.contextmanager
def _slapd(folder: Path) -> Iterator[Site]:
    with Slapd() as server:
        yield Directory(server, folder)


@contextlib.contextmanager
def _syncprov(folder: Path) -> Iterator[Site]:
    with Slapd(syncprov=True) as server:
        yield Directory(server, folder)


KINDS: dict[str, Callable[[Path], AbstractContextManager[Site]]] = {
    "sqlite": lambda folder: contextlib.nullcontext(Sqlite(folder)),
    "postgresql": _postgres,
    "mariadb": _mariadb,
    "slapd": _slapd,
    "slapd with syncprov": _syncprov,
    "file": lambda folder: contextlib.nullcontext(File(folder)),
    "sasldb": lambda folder: contextlib.nullcontext(Sasldb(folder)),
}
BY_TIME = ["sqlite", "postgresql", "mariadb"]


@pytest.fixture(params=KINDS)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with KINDS[request.param](tmp_path) as opened:
        yield opened


def look(tracker: Tracker, mark: str | None = None) -> tuple[list[str] | None, str | None]:
    """Who is found since a mark, and the next mark; a minute from now, when every file is complete."""
    found = tracker.look(mark, time.time() + OVERLAP - 10, False)
    return (sorted(found.names), found.mark) if found else (None, mark)


def test_a_new_account_is_found_and_no_earlier_search_hides_it(site: Site) -> None:
    tracker, _ = site.tracker()
    with contextlib.closing(tracker):
        _, mark = look(tracker)
        site.add("joe")
        found, _ = look(tracker, mark)
        assert found is not None
        assert "joe" in found


def test_a_source_that_is_away_says_so_and_is_asked_from_the_same_mark_afterwards(
    site: Site,
) -> None:
    tracker, _ = site.tracker()
    with contextlib.closing(tracker):
        _, mark = look(tracker)
        site.add("joe")
        with site.away(), pytest.raises(Temporary):
            look(tracker, mark)
        found, _ = look(tracker, mark)
        assert found is not None
        assert "joe" in found


@pytest.mark.parametrize("site", BY_TIME, indirect=True)
def test_only_what_was_changed_is_found_whatever_the_time_zone(site: Site) -> None:
    tracker, _ = site.tracker()
    with contextlib.closing(tracker):
        site.add("old", ago=2 * DAY)
        site.add("recent", ago=DAY // 2)
        site.add("new")
        assert look(tracker)[0] == ["new"]
        assert look(tracker, str(time.time() - DAY))[0] == ["new", "recent"]


@pytest.mark.parametrize("site", BY_TIME, indirect=True)
def test_searches_without_end_do_not_need_ever_more_memory(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_changes, "_RENEWED", 3)
    opened = 0

    def opening(options: SqlOptions) -> Database:
        nonlocal opened
        opened += 1
        return Database(options)

    monkeypatch.setattr(sql_changes, "Database", opening)
    site.add("joe")
    tracker, _ = site.tracker()
    with contextlib.closing(tracker):
        for _ in range(7):
            assert look(tracker)[0] == ["joe"]
    assert opened == 3


@pytest.mark.parametrize("site", BY_TIME, indirect=True)
def test_one_update_of_every_account_is_no_answer_that_is_too_long(site: Site) -> None:
    names = "SELECT 0 AS it UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4"
    crossed = ", ".join(f"({names}) t{number}" for number in range(8))  # 5 ** 8 rows
    site.keys["changed_query"] = f"SELECT 'changed-by-one-update' FROM {crossed} WHERE :since > 0"
    site.keys["timeout"] = 30.0
    tracker, _ = site.tracker()
    with contextlib.closing(tracker):
        found = tracker.look(None, time.time(), False)
        assert found
        assert sum(1 for _ in found.names) == 5**8


@pytest.mark.parametrize("site", ["slapd"], indirect=True)
def test_entries_are_found_by_the_time_of_their_change(site: Site) -> None:
    tracker, _ = site.tracker()
    with contextlib.closing(tracker):
        site.add("new")
        later = tracker.look(None, time.time() + DAY, False)
        assert later
        assert list(later.names) == []
        assert look(tracker)[0] == ["new"]


@pytest.mark.parametrize("site", ["file", "sasldb"], indirect=True)
def test_a_file_that_did_not_change_is_not_read(site: Site) -> None:
    site.add("joe")
    tracker, _ = site.tracker()
    found, mark = look(tracker)
    assert found is not None
    assert mark is not None
    assert look(tracker, mark)[0] is None


class Followed:
    """A source that is followed in a thread."""

    def __init__(self, site: Site) -> None:
        self.tracker, follower = site.tracker()
        assert follower is not None
        self.told: list[str] = []
        self.ready = threading.Event()
        self._stopping = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        since = int(time.time()) - 60
        self.result = self._thread.submit(
            follower.follow, since, self.ready.set, self.told.append, self._stopping
        )

    def __enter__(self) -> Followed:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.shutdown()
        self.tracker.close()

    def stop(self) -> None:
        self._stopping.set()


@pytest.mark.parametrize("site", ["slapd with syncprov"], indirect=True)
def test_a_server_that_reports_changes_tells_of_a_new_entry_within_a_second(site: Site) -> None:
    site.add("before")
    with Followed(site) as followed:
        assert followed.ready.wait(10.0)
        assert followed.told == ["before"]
        site.add("joe")
        wait_until(lambda: "joe" in followed.told, 1.0, "joe", lambda: str(followed.told))
        followed.stop()
        assert followed.result.result(60.0) is True


@pytest.mark.parametrize("site", ["slapd with syncprov"], indirect=True)
def test_a_connection_that_is_lost_is_said(site: Site) -> None:
    with Followed(site) as followed:
        assert followed.ready.wait(10.0)
        with site.away(), pytest.raises(Temporary):
            followed.result.result(10.0)


@pytest.mark.parametrize("site", ["slapd"], indirect=True)
def test_a_server_that_does_not_report_changes_is_only_searched(site: Site) -> None:
    with Followed(site) as followed:
        assert followed.result.result(10.0) is False
        assert not followed.ready.is_set()
