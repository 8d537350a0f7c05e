"""A bounded set of connections, shared by threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from autocreate.errors import PoolExhausted, Refused, ServerTimeout, Temporary, Unreachable
from autocreate.resilience.pool import Pool

LONG = 30.0


class Connection:
    """Remembers how it ended."""

    def __init__(self) -> None:
        self.end = ""
        self.is_stale = False
        self.is_spent = False

    def close(self) -> None:
        self.end = "closed"

    def discard(self) -> None:
        self.end = "discarded"


class Server:
    """Makes connections, and knows how many are open."""

    def __init__(self) -> None:
        self.made: list[Connection] = []
        self.is_down = False

    def connect(self) -> Connection:
        if self.is_down:
            raise Unreachable("connection refused")
        self.made.append(Connection())
        return self.made[-1]

    def restart(self) -> None:
        for connection in self.made:
            connection.is_stale = True

    def pool(self, size: int = 2, wait: float = LONG) -> Pool[Connection]:
        return Pool(self.connect, size, wait)


def use(connection: Connection) -> Connection:
    if connection.is_stale:
        raise Unreachable("connection reset")
    return connection


def failing(error: BaseException) -> object:
    def work(_: Connection) -> Connection:
        raise error

    return work


def held(pool: Pool[Connection], count: int) -> None:
    """Use so many connections at once."""
    together = threading.Barrier(count)

    def work(connection: Connection) -> Connection:
        together.wait(LONG)
        return use(connection)

    with ThreadPoolExecutor(count) as threads:
        list(threads.map(pool.run, [work] * count))


def test_a_connection_is_made_once_and_used_again() -> None:
    server = Server()
    pool = server.pool()
    assert pool.run(use) is pool.run(use) is server.made[0]
    assert len(server.made) == 1


def test_the_most_recently_used_is_lent_first() -> None:
    server = Server()
    pool = server.pool(2)
    held(pool, 2)
    last = pool.run(use)
    assert pool.run(use) is last


def test_no_more_are_open_than_allowed() -> None:
    server = Server()
    pool = server.pool(3)
    with ThreadPoolExecutor(20) as threads:
        list(threads.map(pool.run, [use] * 200))
    assert len(server.made) <= 3
    assert all(it.end == "" for it in server.made)


def test_who_gets_none_in_time_is_told_so() -> None:
    pool = Server().pool(size=1, wait=0.01)

    def inner(_: Connection) -> None:
        pool.run(use)

    with pytest.raises(PoolExhausted, match=r"all 1 connections are busy for 0\.01 s"):
        pool.run(inner)
    assert pool.run(use).end == ""


def test_a_refusal_leaves_the_connection_good() -> None:
    server = Server()
    pool = server.pool()
    with pytest.raises(Refused):
        pool.run(failing(Refused("no")))  # type: ignore[arg-type]
    assert pool.run(use) is server.made[0]


def test_a_connection_that_is_spent_is_closed_and_another_made() -> None:
    server = Server()
    pool = server.pool()

    def work(connection: Connection) -> Connection:
        connection.is_spent = True
        return connection

    assert pool.run(work).end == "closed"
    assert pool.run(use) is server.made[1]


@pytest.mark.parametrize(
    "error",
    [ValueError("a defect"), Temporary("who knows"), SystemExit(1), ServerTimeout("no answer")],
)
def test_after_any_other_error_the_connection_is_dropped(error: BaseException) -> None:
    server = Server()
    pool = server.pool()
    pool.run(use)
    with pytest.raises(type(error)):
        pool.run(failing(error))  # type: ignore[arg-type]
    assert server.made[0].end == "discarded"
    assert pool.run(use) is server.made[1]


def test_a_restart_of_the_server_is_survived() -> None:
    server = Server()
    pool = server.pool(3)
    held(pool, 3)
    server.restart()
    fresh = pool.run(use)
    assert fresh is server.made[3]
    assert [it.end for it in server.made] == ["discarded"] * 3 + [""]


def test_a_new_connection_that_fails_is_not_tried_again() -> None:
    server = Server()
    runs: list[Connection] = []

    def work(connection: Connection) -> None:
        runs.append(connection)
        raise Unreachable("gone again")

    with pytest.raises(Unreachable, match="gone again"):
        server.pool().run(work)
    assert len(runs) == 1


def test_a_silent_server_is_not_asked_twice() -> None:
    server = Server()
    pool = server.pool()
    pool.run(use)
    runs: list[Connection] = []

    def work(connection: Connection) -> None:
        runs.append(connection)
        raise ServerTimeout("no answer within 5 s")

    with pytest.raises(ServerTimeout):
        pool.run(work)
    assert len(runs) == 1


def test_a_second_attempt_is_not_made_after_the_wait_is_over() -> None:
    server = Server()
    pool = server.pool(wait=0.0)
    pool.run(use)
    server.restart()
    with pytest.raises(Unreachable, match="connection reset"):
        pool.run(use)
    assert pool.run(use) is server.made[1]


def test_a_server_that_is_down_costs_no_place() -> None:
    server = Server()
    pool = server.pool(size=1, wait=0.0)
    server.is_down = True
    for _ in range(3):
        with pytest.raises(Unreachable, match="connection refused"):
            pool.run(use)
    server.is_down = False
    assert pool.run(use) is server.made[0]


def test_closing_closes_what_is_idle_now_and_what_is_lent_when_it_comes_back() -> None:
    server = Server()
    pool = server.pool(2)
    held(pool, 2)

    def work(connection: Connection) -> Connection:
        pool.close()
        assert connection.end == ""
        return connection

    lent = pool.run(work)
    assert lent.end == "closed"
    assert [it.end for it in server.made] == ["closed", "closed"]
