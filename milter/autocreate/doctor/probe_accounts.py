"""Asks account sources, and says what is wrong with them: `autocreate accounts check`, `doctor`."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping

from autocreate.accounts import AccountSource
from autocreate.core.naming import Users
from autocreate.doctor.findings import Finding, critical, warning
from autocreate.doctor.source_report import NOBODY, SourceReport, cannot_tell
from autocreate.errors import (
    AutocreateError,
    ConfigurationError,
    PoolExhausted,
    Temporary,
    Unreachable,
)
from autocreate.model import Account

_UNKNOWN = 65  # the exit status for an unknown recipient
# How many names that Cyrus spells differently are looked up, and how many of those not found are named.
_ODD_NAMES = 100
_NAMED = 3


def examine(
    key: str, make: Callable[[], AccountSource], users: Users, user: str | None = None
) -> SourceReport:
    """Ask one source for a user that nobody is, for users that it lists, and for `user`, as mail would.

    Args:
        key: of the source in the configuration.
        make: makes the source; it is closed afterwards.
        users: how addresses become user ids.
        user: a user id, or an address.
    """
    lines: list[str] = []
    status = 0
    try:
        source = make()
    except ConfigurationError as error:
        return SourceReport(key, error.exit_status, error.problems)
    try:
        for line, gravity in _questions(source, users, user):
            lines.append(line)
            status = max(status, gravity)
    except AutocreateError as error:
        lines.append(str(error))
        status = max(status, error.exit_status)
    finally:
        source.close()
    return SourceReport(key, status, tuple(lines))


def check(
    makers: Mapping[str, Callable[[], AccountSource]], users: Users, user: str | None
) -> list[SourceReport]:
    """Ask every source, as `examine` does.

    Args:
        makers: what makes each source, by its key.
    """
    return [examine(key, make, users, user) for key, make in makers.items()]


def findings(makers: Mapping[str, Callable[[], AccountSource]], users: Users) -> Iterator[Finding]:
    """Problems of the sources, by the same questions.

    Args:
        makers, users: as for `check`.
    """
    for key, make in makers.items():
        try:
            source = make()
        except ConfigurationError as error:
            yield from (cannot_tell(key, problem, "accounts") for problem in error.problems)
            continue
        with contextlib.closing(source):
            try:
                yield from _findings(key, source, users)
            except AutocreateError as error:
                yield cannot_tell(key, str(error), "accounts")


def overall(reports: list[SourceReport]) -> int:
    """The exit status of all reports: the worst. A user is known if one source knows it."""
    grave = max((it.status for it in reports if it.status != _UNKNOWN), default=0)
    is_unknown = bool(reports) and all(it.status == _UNKNOWN for it in reports)
    return grave or (_UNKNOWN if is_unknown else 0)


def _findings(key: str, source: AccountSource, users: Users) -> Iterator[Finding]:
    for line, status in _nobody(source):
        if status:
            yield critical(
                f"{key}: {line}",
                "mail for any address is accepted, and creates a mailbox",
                f"correct the query or filter of {key}, then run: autocreate accounts check",
            )
    for line, status in _listed(source, users):
        if status:
            yield warning(
                f"{key}: {line}",
                "mail for existing accounts may be refused",
                f"correct the query or filter of {key}, then run: autocreate accounts check --user NAME",
            )


def _questions(source: AccountSource, users: Users, user: str | None) -> Iterator[tuple[str, int]]:
    yield from _nobody(source)
    yield from _listed(source, users)
    if user is not None:
        yield from _asked_for(source, users.by_mail(user))


def _nobody(source: AccountSource) -> Iterator[tuple[str, int]]:
    begun = time.monotonic()
    if source.lookup(NOBODY) is not None:
        yield (
            f"finds even {NOBODY!r}, so it would accept mail for anyone; its query must depend "
            "on the user",
            ConfigurationError.exit_status,
        )
    yield f"answers in {(time.monotonic() - begun) * 1000:.1f} ms, including the connection", 0


def _listed(source: AccountSource, users: Users) -> Iterator[tuple[str, int]]:
    names = source.names()
    if names is None:
        yield "cannot list its users; use --user to see whether it finds one", 0
        return
    first, odd = _sample(names, users)
    if first is None:
        yield (
            "lists nobody: its query or filter matches nothing, or nothing that it may read",
            ConfigurationError.exit_status,
        )
        return
    wrong = [it for name in dict.fromkeys((first, *odd)) if (it := _missed(source, users, name))]
    yield from wrong[:_NAMED]
    if len(wrong) > _NAMED:
        yield f"... and {len(wrong) - _NAMED} more like these", wrong[0][1]
    if wrong:
        return
    yield f"lists users, such as {first!r}", 0
    if odd:
        yield f"also finds users whose names Cyrus spells differently, such as {odd[0]!r}", 0
    account = source.lookup(users.by_mail(first))
    if source.has_groups and account:
        source.groups(account)
        yield "returns groups", 0


def _sample(names: Iterator[str], users: Users) -> tuple[str | None, list[str]]:
    """The first name of a list, and some that Cyrus spells differently.

    The list is not read any further when this returns: some databases answer one query at a time.
    """
    first = next(names, None)
    listed = () if first is None else itertools.chain((first,), names)
    odd = (name for name in listed if {users.by_mail(name), users.of_account(name)} != {name})
    return first, list(itertools.islice(odd, _ODD_NAMES))


def _missed(source: AccountSource, users: Users, name: str) -> tuple[str, int] | None:
    """Why mail for a listed name does not find its account, with an exit status; None if it does."""
    user = users.by_mail(name)
    asked = f" when mail for it asks for {user!r}" if user != name else ""
    try:
        account = source.lookup(user)
    except (Unreachable, PoolExhausted):
        raise
    except Temporary as error:
        return f"lists {name!r}, but mail for it is deferred (451): {error}", error.exit_status
    if account is None:
        return f"lists {name!r}, but does not find it{asked}", ConfigurationError.exit_status
    if account.spellings[-1] != name and users.of_account(name) == users.of_account(account.user):
        other = account.spellings[-1]
        return (
            f"lists {name!r} and {other!r}, which are one user to Cyrus, {user!r}: rename one",
            ConfigurationError.exit_status,
        )
    return None


def _asked_for(source: AccountSource, user: str) -> Iterator[tuple[str, int]]:
    begun = time.monotonic()
    account = source.lookup(user)
    took = f"{(time.monotonic() - begun) * 1000:.1f} ms"
    if account is None:
        yield f"does not know {user!r} ({took})", _UNKNOWN
        return
    spelled = f", as {account.name!r}" if account.name else ""
    yield f"knows {user!r}{spelled} ({took})", 0
    for name, value in account.attributes:
        yield f"  {name} = {value}", 0
    yield f"  groups: {_groups(source, account)}", 0


def _groups(source: AccountSource, account: Account) -> str:
    if not source.has_groups:
        return "this source has none"
    return ", ".join(sorted(source.groups(account))) or "none"
