"""One look-up among 1,000,000 accounts: against one among 1,000 in another server of the kind.

The servers are PostgreSQL and slapd (mdb), over an open connection. Half of the questions get a no.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from autocreate.accounts import AccountSource
from tests.bench.contest import Contestant, Effort, Result, in_turn
from tests.bench.maps import QUERY, ldap_settings
from tests.configured import account_source
from tests.servers.common import fresh_folder, secret_file
from tests.servers.postgres import Postgres
from tests.servers.slapd import Slapd

FEW, MANY = 1_000, 1_000_000
QUESTIONS = 1_000  # a measurement
TARGET = 0.9  # flat within noise

# Starts a source that has so many accounts.
Opened = Callable[[Path, int], contextlib.AbstractContextManager[AccountSource]]


def run(effort: Effort) -> list[Result]:
    """Measures one kind of server after the other."""
    return [it for name, opened in KINDS.items() for it in _measured(name, opened, effort)]


def _measured(name: str, opened: Opened, effort: Effort) -> Iterator[Result]:
    many = effort.of(MANY)
    with contextlib.ExitStack() as running:
        contestants = {}
        for size in (FEW, many):
            folder = running.enter_context(fresh_folder("bench-million"))
            source = running.enter_context(opened(folder, size))
            contestants[str(size)] = _asked(source, size, effort.of(QUESTIONS))
        values = in_turn(contestants, effort.rounds)
    yield Result(
        f"{name}: {many:,} accounts, to {FEW:,}",
        "ms",
        values[str(many)],
        values[str(FEW)],
        less_is_better=True,
        target=TARGET,
    )


def _asked(source: AccountSource, size: int, questions: int) -> Contestant:
    def measure() -> float:
        numbers = [random.randrange(2 * size) for _ in range(questions)]
        begun = time.perf_counter()
        for number in numbers:
            is_there = source.lookup(_user(number)) is not None
            assert is_there is (number < size), _user(number)
        return (time.perf_counter() - begun) / questions * 1000

    return measure


def _user(number: int) -> str:
    return f"user{number:07}"


@contextlib.contextmanager
def _postgresql(folder: Path, size: int) -> Iterator[AccountSource]:
    with Postgres() as server:
        names = "SELECT 'user' || lpad(it::text, 7, '0') FROM generate_series(0, {}) it"
        server.execute(f"INSERT INTO accounts (userid) {names.format(size - 1)}")
        server.execute("ANALYZE accounts")
        # A line in its log for each question would be the greater part of its work.
        server.execute("ALTER DATABASE mail SET log_statement = 'none'")
        password_file = secret_file(folder, server.password)
        query = f"{QUERY}:user"
        source = account_source("sql", url=server.url, query=query, password_file=password_file)
        with contextlib.closing(source):
            yield source


@contextlib.contextmanager
def _ldap(folder: Path, size: int) -> Iterator[AccountSource]:
    with Slapd() as server:
        server.load([_user(number) for number in range(size)])
        settings = ldap_settings(server, folder)
        with contextlib.closing(account_source(settings.pop("type"), **settings)) as source:
            yield source


KINDS: dict[str, Opened] = {"PostgreSQL": _postgresql, "LDAP": _ldap}
