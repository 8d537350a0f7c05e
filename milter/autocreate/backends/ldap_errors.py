"""python-ldap's exceptions as our errors, each naming the server and what could not be done."""

import time
from typing import NamedTuple

import ldap

from autocreate.errors import ServerTimeout, Temporary, Unreachable
from autocreate.resilience.answer_limit import AnswerTooLong
from autocreate.resilience.exception_map import ExceptionMap

_ADVICE = {
    ldap.INVALID_CREDENTIALS: "bind_dn or the password in password_file is wrong",
    ldap.INAPPROPRIATE_AUTH: "the server refuses this way to bind",
    ldap.NO_SUCH_OBJECT: "the base does not exist, or bind_dn may not read it",
    ldap.INSUFFICIENT_ACCESS: "bind_dn may not search there",
    ldap.FILTER_ERROR: "the filter is not valid (RFC 4515)",
    ldap.SIZELIMIT_EXCEEDED: "more entries than the server returns, or more than one for a user",
    ldap.REFERRAL: "the server refers to another one: use that one",
}


class Attempt(NamedTuple):
    """What a server was asked, for the error if that fails.

    Args:
        failed: what could not be done then: "cannot start TLS".
        begun: when, by the monotonic clock.
    """

    url: str
    failed: str
    timeout: float
    begun: float

    def __str__(self) -> str:
        return f"{self.url}: {self.failed}"


def _words(error: ldap.LDAPError) -> str:
    details = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    words = [str(details[key]) for key in ("desc", "info") if details.get(key)]
    advice = _ADVICE.get(type(error))
    return ": ".join(words or [str(error) or type(error).__name__]) + (
        f" ({advice})" if advice else ""
    )


def _no_answer(attempt: Attempt, _: Exception) -> Temporary:
    return ServerTimeout(f"{attempt}: no answer within {attempt.timeout:g} s")


def _lost(attempt: Attempt, error: ldap.LDAPError) -> Temporary:
    # libldap calls a connection lost too where a socket's own time limit ended the wait.
    if time.monotonic() - attempt.begun >= attempt.timeout * 0.9:
        return _no_answer(attempt, error)
    return Unreachable(f"{attempt}: {_words(error)}")


ERRORS: ExceptionMap[Attempt] = {
    ldap.LDAPError: lambda attempt, error: Temporary(f"{attempt}: {_words(error)}"),
    ldap.TIMEOUT: _no_answer,
    TimeoutError: _no_answer,
    AnswerTooLong: lambda attempt, error: Unreachable(f"{attempt}: {error}"),
    ldap.SERVER_DOWN: _lost,
    ldap.CONNECT_ERROR: _lost,
    UnicodeError: lambda attempt, error: Temporary(f"{attempt}: {error}"),
}
