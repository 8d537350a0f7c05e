"""`autocreate watch`: how soon a new account has its whole tree, and what a round costs that finds nothing new.

The first is compared with the interval between two rounds, and with a second where the server reports changes. The
second is this program's processor time, compared with listing all accounts of the source.
"""

from __future__ import annotations

import contextlib
import random
import sched
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from autocreate.admin.selection import Selection
from autocreate.config import load
from autocreate.mailstore.memory import Memory
from autocreate.tree.values import Folder, Tree
from autocreate.watch.deeds import Deeds
from autocreate.watch.figures import Figures
from autocreate.watch.records import Records, Unwritten
from autocreate.watch.rounds import Round
from autocreate.watch.watcher import Watched
from autocreate.wiring.watch import watched_of
from tests.bench.contest import Effort, Result
from tests.bench.maps import ldap_settings
from tests.servers.berkeley import sasldb_key, write_hash
from tests.servers.common import fresh_folder, secret_file, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.mariadb import MariaDb
from tests.servers.postgres import Postgres
from tests.servers.product import Product
from tests.servers.slapd import PEOPLE, Slapd

EVERY = 5.0  # seconds: the shortest interval that a configuration can have
AT_ONCE = 1.0  # seconds, where the server reports changes
ACCOUNTS = 100_000
WHOLE = 5  # mailboxes of the tree that `Product` has by default
INBOX = Tree((Folder(),))


class Nothing:
    """A journal that keeps nothing."""

    def get(self, name: str) -> str | None:
        return None

    def put(self, name: str, value: str) -> None:
        pass

    def drop(self, name: str) -> None:
        pass


class Source(NamedTuple):
    """An account source: what [accounts.staff] has, and how accounts come there.

    Args:
        add: adds one account, that is new.
        fill: makes so many accounts the only ones, of which none is new.
        seconds: within which a new account should have its tree.
    """

    settings: dict[str, Any]
    add: Callable[[str], None]
    fill: Callable[[int], None]
    seconds: float = EVERY


def run(effort: Effort) -> list[Result]:
    """Measures one source after the other."""
    results: list[Result] = []
    for name, opened in SOURCES.items():
        with Cyrus() as cyrus, fresh_folder("watch") as folder, opened(folder) as source:
            results += _latency(name, cyrus, source, effort)
            results += _cost(name, cyrus, source, effort)
    return results


def _latency(name: str, cyrus: Cyrus, source: Source, effort: Effort) -> Iterator[Result]:
    """Seconds from the INSERT to the whole tree."""
    settings = {
        "watch": {
            "every": EVERY,
            "list_every": 60.0,
            "overlap": 60.0,
            "at_most": {"count": 10_000, "percent": 100},
        },
        "accounts": {"staff": source.settings},
    }
    chance = random.Random(name)
    samples = 3 if effort.short else 8
    moments = sorted(chance.uniform(0.0, 2 * EVERY) for _ in range(samples))
    source.fill(1)
    with Product(cyrus, settings=settings, command="watch") as product:
        product.start()
        _wait_for_first_round(product, source)
        seconds = _seconds(product, source, moments)
    yield Result(
        f"{name}: median of {samples} new accounts, to {source.seconds:g} s",
        "s",
        [statistics.median(seconds)],
        [source.seconds],
        less_is_better=True,
        target=1.0,
    )
    yield Result(
        f"{name}: 95th percentile",
        "s",
        [statistics.quantiles(seconds, n=20, method="inclusive")[-1]],
        [source.seconds],
        less_is_better=True,
    )


def _wait_for_first_round(product: Product, source: Source) -> None:
    wanted = "syncrepl" if source.seconds == AT_ONCE else ""

    def is_watching() -> bool:
        found = product.json("cache", "show")
        sources = [it["watch"]["sources"] for it in found if "watch" in it]
        kinds = [it["kind"] for source in sources for it in source.values()]
        return bool(kinds) and (not wanted or kinds == [wanted])

    wait_until(is_watching, 60.0, "a round", product.log)


def _seconds(product: Product, source: Source, moments: Sequence[float]) -> list[float]:
    """For an account that is added at each of these moments, in seconds from now."""
    waits = []
    schedule = sched.scheduler(time.perf_counter)
    with ThreadPoolExecutor(len(moments)) as waiting:

        def add(user: str) -> None:
            begun = time.perf_counter()
            source.add(user)
            waits.append(waiting.submit(_until_whole, product, user, begun))

        for number, moment in enumerate(moments):
            schedule.enter(moment, 0, add, (f"new{number}",))
        schedule.run()
    return [it.result() for it in waits]


def _until_whole(product: Product, user: str, begun: float) -> float:
    line = f"{user}: mailbox created, by policy"
    wait_until(lambda: line in product.log(), 60.0, line, product.log)
    seconds = time.perf_counter() - begun
    found = product.cyrus.mailboxes(f"user/{user}") | product.cyrus.mailboxes(f"user/{user}/*")
    assert len(found) == WHOLE, found
    return seconds


def _cost(name: str, cyrus: Cyrus, source: Source, effort: Effort) -> Iterator[Result]:
    """Processor time of a round that finds nothing new, to listing everybody.

    For a file, also that of the round after a change, in which all accounts are compared with all mailboxes.
    """
    accounts = effort.of(ACCOUNTS)
    source.fill(accounts)
    settings = {
        "watch": {"every": EVERY, "list_every": 86400.0, "overlap": 5.0},
        "accounts": {"staff": source.settings},
    }
    ours: list[float] = []
    theirs: list[float] = []
    compared: list[float] = []
    with Product(cyrus, settings=settings) as product:
        config = load(product.config_file)
        assert config.watch is not None
        with contextlib.closing(watched_of(config, config.watch)) as watched:
            everybody = list(_names(watched))
            assert len(everybody) == accounts, len(everybody)
            records = Records(watched.components.journal.watch)
            is_listed = watched.trackers[0].kind != "changes"
            if is_listed:
                _give_mailboxes(watched, everybody)
                _list_round(watched, records, accounts)
            else:
                # After the second in which the last account was made.
                records.keep_mark("staff", f"{time.time() + 2.0:.0f}")
            for _ in range(max(3, effort.rounds)):
                ours.append(_processor_ms(lambda: _round_without_news(watched, records)))
                theirs.append(_processor_ms(lambda: list(_names(watched))))
                if is_listed:
                    new = Records(Unwritten(Nothing()))
                    compared.append(_processor_ms(partial(_list_round, watched, new, accounts)))
    if compared:
        yield Result(
            f"{name}: a round that compares {accounts:,} accounts with as many mailboxes, to a list",
            "ms",
            compared,
            theirs,
            less_is_better=True,
        )
    yield Result(
        f"{name}: a round without news at {accounts:,} accounts, to a list of them",
        "ms",
        ours,
        theirs,
        less_is_better=True,
        target=1.0,
    )


def _names(watched: Watched) -> Iterator[str]:
    return watched.components.accounts.users(Selection(), lambda _user, _error: None)


def _give_mailboxes(watched: Watched, users: list[str]) -> None:
    """Have everybody own a mailbox, in memory: what LIST takes in Cyrus is not measured."""
    store = Memory()
    store.trees.update(dict.fromkeys(users, INBOX))
    watched.components.store.users = store.users  # type: ignore[method-assign]


def _list_round(watched: Watched, records: Records, accounts: int) -> None:
    """A round in which everybody is found, and has a mailbox."""
    with contextlib.closing(Round(watched.components, watched.trackers, records, _later)) as round_:
        round_.look()
        assert round_.survey.accounts == accounts
        deeds = Deeds(Figures(), lambda _user: None, lambda: True)
        assert deeds.deal_with(round_, watched.components, records, watched.at_most)
        assert len(round_.plans) == 0
        round_.keep_marks()


def _round_without_news(watched: Watched, records: Records) -> None:
    with contextlib.closing(Round(watched.components, watched.trackers, records, _later)) as round_:
        round_.look()
        assert round_.looked.errors == {"staff": ""}, round_.looked.errors
        assert round_.survey.accounts == 0, round_.survey.accounts
        deeds = Deeds(Figures(), lambda _user: None, lambda: True)
        assert deeds.deal_with(round_, watched.components, records, watched.at_most)


def _later() -> float:
    """So long after the accounts were made that none is new, and every file is complete."""
    return time.time() + 60.0


def _processor_ms(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return (time.process_time() - begun) * 1000


def _user(number: int) -> str:
    return f"user{number:07}"


@contextlib.contextmanager
def _sqlite(folder: Path) -> Iterator[Source]:
    path = folder / "accounts.db"

    def write(statement: str, rows: list[tuple[object, ...]], empty: bool = False) -> None:
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS accounts (userid TEXT PRIMARY KEY, changed INTEGER)"
            )
            database.execute("CREATE INDEX IF NOT EXISTS dated ON accounts (changed)")
            if empty:
                database.execute("DELETE FROM accounts")
            database.executemany(statement, rows)

    insert = "INSERT INTO accounts VALUES (?, ?)"
    yield Source(
        _sql(f"sqlite:///{path}", ":since"),
        lambda user: write(insert, [(user, int(time.time()))]),
        lambda count: write(insert, [(_user(it), 0) for it in range(count)], empty=True),
    )


@contextlib.contextmanager
def _postgresql(folder: Path) -> Iterator[Source]:
    with Postgres() as server:
        server.execute("ALTER TABLE accounts ADD COLUMN changed timestamptz DEFAULT now()")
        server.execute("CREATE INDEX dated ON accounts (changed)")
        fill = (
            "INSERT INTO accounts (userid, changed) SELECT 'user' || lpad(it::text, 7, '0'),"
            " to_timestamp(0) FROM generate_series(1, {count}) it"
        )
        yield _on_server(server, folder, "to_timestamp(:since)", "TRUNCATE accounts", fill)


@contextlib.contextmanager
def _mariadb(folder: Path) -> Iterator[Source]:
    with MariaDb() as server:
        server.execute(
            "ALTER TABLE accounts ADD COLUMN changed datetime DEFAULT now(), ADD KEY (changed)"
        )
        fill = (
            "INSERT INTO accounts (userid, changed) SELECT concat('user', lpad(seq, 7, '0')),"
            " from_unixtime(1) FROM seq_1_to_{count}"
        )
        yield _on_server(server, folder, "from_unixtime(:since)", "DELETE FROM accounts", fill)


def _on_server(
    server: Postgres | MariaDb, folder: Path, since: str, empty: str, many: str
) -> Source:
    def fill(count: int) -> None:
        server.execute(empty)
        server.execute(many.format(count=count))

    return Source(
        {**_sql(server.url, since), "password_file": secret_file(folder, server.password)},
        lambda user: server.execute(f"INSERT INTO accounts (userid) VALUES ('{user}')"),
        fill,
    )


@contextlib.contextmanager
def _ldap(folder: Path, syncprov: bool = False) -> Iterator[Source]:
    with Slapd(syncprov=syncprov) as server:

        def add(user: str) -> None:
            server.add(f"cn={user},{PEOPLE}", objectClass="inetOrgPerson", sn="x", uid=user)

        def fill(count: int) -> None:
            server.load([_user(number) for number in range(count)])

        settings = ldap_settings(server, folder)
        yield Source(settings, add, fill, AT_ONCE if syncprov else EVERY)


@contextlib.contextmanager
def _file(folder: Path) -> Iterator[Source]:
    path = folder / "users"
    path.touch()

    def add(user: str) -> None:
        with path.open("a") as file:
            file.write(f"{user}\n")

    def fill(count: int) -> None:
        path.write_text("".join(f"{_user(number)}\n" for number in range(count)))

    yield Source({"type": "file", "path": str(path)}, add, fill)


@contextlib.contextmanager
def _sasldb(folder: Path) -> Iterator[Source]:
    path = folder / "sasldb2"
    users: list[str] = []

    def write() -> None:
        write_hash(path, ((sasldb_key(user, "example.org"), b"geheim") for user in users))

    def add(user: str) -> None:
        users.append(user)
        write()

    def fill(count: int) -> None:
        users[:] = [_user(number) for number in range(count)]
        write()

    fill(1)
    yield Source({"type": "sasldb", "path": str(path), "realm": "example.org"}, add, fill)


def _sql(url: str, since: str) -> dict[str, Any]:
    return {
        "type": "sql",
        "url": url,
        "query": "SELECT userid FROM accounts WHERE userid = :user",
        "list_query": "SELECT userid FROM accounts",
        "changed_query": f"SELECT userid FROM accounts WHERE changed >= {since}",
    }


SOURCES: dict[str, Callable[[Path], contextlib.AbstractContextManager[Source]]] = {
    "SQLite": _sqlite,
    "PostgreSQL": _postgresql,
    "MariaDB": _mariadb,
    "LDAP, searched": _ldap,
    "LDAP, syncrepl": lambda folder: _ldap(folder, syncprov=True),
    "file": _file,
    "sasldb": _sasldb,
}
