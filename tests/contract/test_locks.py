"""Locks among MTAs, in the fake and in every kind of database that has them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from autocreate.backends.sql_drivers import parsed
from autocreate.doctor.probe_journal import examine
from autocreate.errors import Temporary
from autocreate.service import journal_database
from autocreate.service.journal import Journal
from autocreate.service.turns import Locks, Turns
from tests.servers.common import wait_until
from tests.servers.relay import Relay

from .journals import SERVERS, new_journal
from .locks import KINDS, Open, lock_server, with_port

HOLD = """
import sys, time
from autocreate.service.journal import Journal
journal = Journal(sys.argv[1], time.time, is_shared=True)
assert journal.locks.take("joe")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=KINDS)
def open_session(request: pytest.FixtureRequest) -> Iterator[Open]:
    with lock_server(request.param) as opened:
        yield opened


@pytest.fixture(params=SERVERS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with new_journal(request.param) as made:
        yield made


def end_sessions(url: str) -> None:
    """End every session of this user but the one that does it."""
    engine = sa.create_engine(parsed(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            query = (
                "SELECT pid FROM pg_stat_activity WHERE usename = user AND pid <> pg_backend_pid()"
            )
            end = "SELECT pg_terminate_backend({})"
        else:
            query = "SELECT id FROM information_schema.processlist WHERE id <> connection_id()"
            end = "KILL {}"
        for number in connection.execute(sa.text(query)).scalars().all():
            connection.execute(sa.text(end.format(int(number))))
    engine.dispose()


def test_a_lock_has_one_holder_until_it_gives_it_up(open_session: Open) -> None:
    one, two = open_session(), open_session()
    assert one.take("joe")
    assert not two.take("joe")
    assert two.take("ann")
    assert not two.release("joe")
    assert one.release("joe")
    assert two.take("joe")
    assert not one.release("joe")


def test_a_session_may_take_a_lock_again_and_gives_it_up_as_often(open_session: Open) -> None:
    one, two = open_session(), open_session()
    assert one.take("joe")
    assert one.take("joe")
    assert one.release("joe")
    assert not two.take("joe")
    assert one.release("joe")
    assert two.take("joe")


def test_names_differ_by_every_character(open_session: Open) -> None:
    one, two = open_session(), open_session()
    for name in ("joe", "Joe", "jöe", "joe ", "joe@example.org", "x" * 250, "x" * 249 + "y"):
        assert one.take(name)
    for name in ("joé", "jo", "x" * 249 + "z"):
        assert two.take(name)


def test_locks_end_with_their_session(open_session: Open) -> None:
    one, two = open_session(), open_session()
    assert one.take("joe")
    one.close()
    wait_until(lambda: two.take("joe"), 5.0, "the end of the session")


def test_of_many_that_want_a_lock_one_gets_it(open_session: Open) -> None:
    sessions = [open_session() for _ in range(6)]
    with ThreadPoolExecutor(len(sessions)) as threads:
        assert sum(threads.map(lambda it: it.take("joe"), sessions)) == 1


def test_turns_never_overlap(open_session: Open) -> None:
    """Four processes, four times, for one user. Whoever works goes on until another has been refused."""
    inside: list[int] = []
    most: list[int] = []
    refusals: list[str] = []
    begin = threading.Barrier(4)

    class Watched:
        def __init__(self, locks: Locks) -> None:
            self._locks = locks
            self.release = locks.release

        def take(self, name: str) -> bool:
            is_taken = self._locks.take(name)
            if not is_taken:
                refusals.append(name)
            return is_taken

    def work(turns: Turns) -> None:
        begin.wait(30.0)
        with turns.turn("joe") as is_ours:
            assert is_ours
            inside.append(1)
            most.append(len(inside))
            before = len(refusals)
            if len(most) % 4:  # else nobody is left
                wait_until(lambda: len(refusals) > before, 10.0, "another that asks")
            inside.pop()

    turns = [Turns(Watched(open_session()), 60.0) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(4):
            list(threads.map(work, turns))
    assert most == [1] * 16
    figures = [it.snapshot() or {} for it in turns]
    assert sum(it["taken"] for it in figures) == 16
    assert sum(it["waited"] for it in figures) >= 8


@pytest.mark.parametrize("kind", ["sqlite", *SERVERS])
def test_a_process_that_is_killed_leaves_its_lock_at_once(kind: str) -> None:
    with new_journal(kind) as url:
        hold_and_kill(url)


def hold_and_kill(url: str) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    with holder, contextlib.closing(Journal(url, time.time, is_shared=True)) as journal:
        assert journal.locks
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        assert not journal.locks.take("joe")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        begun = time.monotonic()
        with Turns(journal.locks, 30.0).turn("joe") as is_ours:
            assert is_ours
        assert time.monotonic() - begun < 15.0  # of 30


def test_a_session_that_the_server_ended_is_replaced_and_its_locks_are_gone(url: str) -> None:
    with contextlib.closing(Journal(url, time.time)) as cut_off:
        assert cut_off.locks
        assert cut_off.locks.take("joe")
        end_sessions(url)
        with contextlib.closing(Journal(url, time.time)) as other:
            assert other.locks
            assert wait_until(lambda: other.locks and other.locks.take("joe"), 5.0, "the lock")
            assert cut_off.locks.take("ann")
            assert not cut_off.locks.take("joe")
            assert not cut_off.locks.release("joe")


def test_a_silent_server_costs_a_turn_no_more_than_an_answer_of_the_journal(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_database, "_TIMEOUT", 1.0)
    port = make_url(url).port
    assert port
    with (
        Relay(port) as relay,
        contextlib.closing(Journal(with_port(url, relay.port), time.time)) as journal,
    ):
        assert journal.locks
        turns = Turns(journal.locks, 30.0)
        with turns.turn("joe") as is_ours:
            assert is_ours
            relay.pause()
            begun = time.monotonic()
        with turns.turn("ann") as is_ours:
            assert not is_ours
        # The breaker answers in its place, for the journal as well.
        with pytest.raises(Temporary, match="not retried yet"):
            journal.entry("joe")
        assert time.monotonic() - begun < 15.0  # of 30
        assert (turns.snapshot() or {})["failed"] == 1


def test_doctor_finds_that_each_connection_has_a_session_of_its_own(url: str) -> None:
    assert list(examine(url, None)) == []
