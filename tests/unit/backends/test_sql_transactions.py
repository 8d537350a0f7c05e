"""Transactions on the driver's own cursor."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from autocreate.backends.sql_transactions import Command, Transactions

TABLE = sa.Table("things", sa.MetaData(), sa.Column("name", sa.String(20), primary_key=True))
ADD = TABLE.insert()
ALL = sa.select(TABLE).order_by(TABLE.c.name)
MISSING = sa.text("SELECT 1 FROM missing")
SYNCHRONOUS = sa.text("PRAGMA synchronous")
FULL = 2


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = sa.create_engine(
        f"sqlite:///{tmp_path}/things.db",
        poolclass=sa.QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=30.0,
        pool_reset_on_return=None,
    )
    TABLE.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def transactions(engine: sa.Engine) -> Transactions:
    return Transactions(engine, timeout=0.1)


def names(transactions: Transactions) -> list[str]:
    return [name for (name,) in transactions.ask(Command(ALL, [{}]))]


def add(*added: str) -> Command:
    return Command(ADD, [{"name": name} for name in added])


def test_commands_are_carried_out_together(transactions: Transactions) -> None:
    transactions.run(add("a"), add("b", "c"))
    assert names(transactions) == ["a", "b", "c"]


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_row_that_exists_undoes_all_of_them(transactions: Transactions, is_durable: bool) -> None:
    transactions.run(add("a"))
    with pytest.raises(IntegrityError, match="UNIQUE") as kept:
        transactions.run(add("b"), add("a"), is_durable=is_durable)
    assert names(transactions) == ["a"]
    transactions.run(add("b"))  # nothing that the error still refers to holds the lock
    assert names(transactions) == ["a", "b"]
    assert kept.value.orig is not None


def test_an_error_of_the_driver_is_one_of_sqlalchemy(transactions: Transactions) -> None:
    with pytest.raises(DBAPIError, match="no such table") as caught:
        transactions.ask(Command(MISSING, [{}]))
    assert isinstance(caught.value.orig, sqlite3.OperationalError)
    assert not caught.value.connection_invalidated
    assert names(transactions) == []


def test_what_need_not_outlive_a_power_failure_leaves_the_next_durable(
    transactions: Transactions,
) -> None:
    transactions.run(add("a"), is_durable=False)
    assert transactions.ask(Command(SYNCHRONOUS, [{}])) == [(FULL,)]
    with pytest.raises(IntegrityError):
        transactions.run(add("a"), is_durable=False)
    assert transactions.ask(Command(SYNCHRONOUS, [{}])) == [(FULL,)]


def test_a_lock_that_is_held_is_waited_for_and_no_longer_than_the_timeout(
    transactions: Transactions, engine: sa.Engine
) -> None:
    other = sqlite3.connect(str(engine.url.database), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DBAPIError, match="database is locked"):
        transactions.run(add("a"))
    patient = Transactions(engine, timeout=30.0)
    asked = threading.Event()

    def write() -> None:
        asked.set()
        patient.run(add("b"))

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write)
        assert asked.wait(30)
        other.execute("COMMIT")
        writing.result(30)
    other.close()
    assert names(transactions) == ["b"]


def test_a_connection_is_given_back_after_each_use(transactions: Transactions) -> None:
    """The pool has one."""
    for name in ("a", "b"):
        transactions.run(add(name))
        with pytest.raises(RuntimeError):
            transactions.run(Command(ADD, [_Nothing()]))
    assert names(transactions) == ["a", "b"]


class _Nothing(dict[str, str]):
    """Parameters that fail in a way that no driver does."""

    def __getitem__(self, key: str) -> str:
        raise RuntimeError(key)
