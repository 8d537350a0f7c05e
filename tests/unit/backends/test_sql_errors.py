"""What becomes of the exceptions of SQLAlchemy and its drivers."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from sqlalchemy.exc import DBAPIError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from autocreate.backends import sql
from autocreate.errors import PoolExhausted, ServerTimeout, Temporary, Unreachable
from autocreate.resilience.exception_map import ExceptionMap, map_exceptions

SERVER = "mysql://a.test/mail"


def raised(
    table: ExceptionMap[sql._Attempt], error: Exception, seconds_ago: float = 0.0
) -> Temporary:
    attempt = sql._Attempt(SERVER, 2.0, 4, time.monotonic() - seconds_ago)
    with pytest.raises(Temporary) as caught, map_exceptions(table, attempt):
        raise error
    return caught.value


def lost(words: str) -> DBAPIError:
    return DBAPIError("SELECT", {}, OSError(words), connection_invalidated=True)


def test_what_fails_while_connecting_is_unreachable() -> None:
    error = raised(sql._CONNECTION_ERRORS, DBAPIError("", {}, OSError("no\n route")))
    assert type(error) is Unreachable
    assert str(error) == f"{SERVER}: no route"


def test_a_query_that_fails_is_temporary_and_says_nothing_of_the_server() -> None:
    failed = ProgrammingError("SELEKT", {}, ValueError("syntax error"))
    assert type(raised(sql._QUERY_ERRORS, failed)) is Temporary


def test_a_connection_that_is_lost_in_a_query_is_unreachable_and_late_a_timeout() -> None:
    assert type(raised(sql._QUERY_ERRORS, lost("gone"))) is Unreachable
    assert type(raised(sql._QUERY_ERRORS, lost("gone"), seconds_ago=1.9)) is ServerTimeout


def test_a_full_pool_says_how_many_connections_there_are() -> None:
    error = raised(sql._CONNECTION_ERRORS, PoolTimeout("QueuePool limit"))
    assert type(error) is PoolExhausted
    assert str(error) == f"{SERVER}: all 4 connections are busy for 2 s"


@pytest.mark.parametrize("make", [SQLAlchemyError, UnicodeError])
def test_any_other_error_is_temporary(make: Callable[[str], Exception]) -> None:
    for table in (sql._CONNECTION_ERRORS, sql._QUERY_ERRORS):
        assert type(raised(table, make("odd"))) is Temporary


def test_an_option_that_the_driver_lacks_is_an_error_only_while_connecting() -> None:
    error = raised(sql._CONNECTION_ERRORS, TypeError("unexpected keyword 'nosuch'"))
    assert "an option in the URL that the driver lacks: unexpected" in str(error)
    attempt = sql._Attempt(SERVER, 2.0, 4, 0.0)
    with pytest.raises(TypeError), map_exceptions(sql._QUERY_ERRORS, attempt):
        raise TypeError("a defect")
