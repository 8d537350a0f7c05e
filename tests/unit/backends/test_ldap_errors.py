"""What becomes of python-ldap's exceptions."""

from __future__ import annotations

import time

import ldap
import pytest

from autocreate.backends.ldap_errors import ERRORS, Attempt
from autocreate.errors import ServerTimeout, Temporary, Unreachable
from autocreate.resilience.exception_map import map_exceptions

URL = "ldap://a.test"


def raised(error: Exception, seconds_ago: float = 0.0) -> Temporary:
    attempt = Attempt(URL, "cannot bind as cn=x", 2.0, time.monotonic() - seconds_ago)
    with pytest.raises(Temporary) as caught, map_exceptions(ERRORS, attempt):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


def test_a_refusal_is_told_in_the_servers_words_and_with_advice() -> None:
    error = raised(ldap.INVALID_CREDENTIALS({"desc": "Invalid credentials", "info": "locked"}))
    assert type(error) is Temporary
    assert str(error) == (
        f"{URL}: cannot bind as cn=x: Invalid credentials: locked "
        "(bind_dn or the password in password_file is wrong)"
    )


@pytest.mark.parametrize("kind", [ldap.SERVER_DOWN, ldap.CONNECT_ERROR])
def test_a_lost_connection_is_unreachable_and_a_timeout_if_it_took_that_long(
    kind: type[Exception],
) -> None:
    error = raised(kind({"desc": "Can't contact LDAP server"}))
    assert type(error) is Unreachable
    assert str(error) == f"{URL}: cannot bind as cn=x: Can't contact LDAP server"
    late = raised(kind({"desc": "Can't contact LDAP server"}), seconds_ago=1.9)
    assert type(late) is ServerTimeout
    assert str(late) == f"{URL}: cannot bind as cn=x: no answer within 2 s"


def test_no_answer_is_a_timeout_however_soon() -> None:
    assert type(raised(ldap.TIMEOUT())) is ServerTimeout


def test_another_error_and_text_that_is_not_utf_8_are_temporary() -> None:
    assert str(raised(ldap.OPERATIONS_ERROR("boom"))) == f"{URL}: cannot bind as cn=x: boom"
    assert type(raised(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"))) is Temporary
