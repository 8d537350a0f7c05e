"""So many lines a minute, and a count of the rest."""

from __future__ import annotations

from autocreate.statistics.line_budget import LeftOut, LineBudget
from tests.unit.clock import Clock


def test_lines_beyond_the_number_are_counted_by_client() -> None:
    clock = Clock()
    budget = LineBudget(3, clock)
    clients = ["a", "a", "b", "c", "b", "b"]
    assert [budget.admits(client) for client in clients] == [True] * 3 + [False] * 3
    assert budget.left_out() is None
    clock.now += 60.0
    assert budget.left_out() == LeftOut(3, (("b", 2), ("c", 1)))
    assert budget.left_out() is None
    assert budget.admits("a")


def test_a_quiet_minute_has_left_nothing_out() -> None:
    clock = Clock()
    budget = LineBudget(3, clock)
    assert all(budget.admits("a") for _ in range(3))
    clock.now += 60.0
    assert budget.left_out() is None


def test_0_is_no_bound() -> None:
    clock = Clock()
    budget = LineBudget(0, clock)
    assert all(budget.admits("a") for _ in range(10_000))
    clock.now += 60.0
    assert budget.left_out() is None


def test_a_flood_from_many_clients_takes_bounded_memory() -> None:
    budget = LineBudget(1, Clock())
    for number in range(100_000):
        budget.admits(f"client{number}")
    assert len(budget._clients._counts) <= 1000
