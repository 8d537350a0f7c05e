"""Asks an account source, and says in words what is wrong with it: `autocreate accounts check`, `doctor`."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from autocreate.accounts import AccountSource
from autocreate.core.naming import Users
from autocreate.doctor.findings import Finding, critical, warning
from autocreate.errors import (
    AutocreateError,
    ConfigurationError,
    PoolExhausted,
    Temporary,
    Unreachable,
)
from autocreate.model import Account

# Nobody is called that, so no source may find it.
NOBODY = "autocreate-check-finds-nobody"

_UNKNOWN = 65  # as for a recipient who is unknown
# How many names that Cyrus spells otherwise are looked up, and how many are told where they are missed.
_ODD_NAMES = 100
_TOLD = 3


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What was seen of one source, or of one table of aliases.

    Args:
        source: its key in the configuration: `accounts.staff`.
        status: 0 all is well, 65 it does not know the user who was asked for, 75 it cannot be asked,
            78 it must be configured otherwise.
    """

    source: str
    status: int
    lines: tuple[str, ...]


def examine(
    key: str, make: Callable[[], AccountSource], users: Users, user: str | None = None
) -> SourceReport:
    """Ask one source: for somebody who is not there, for whom it lists, and for `user`, as mail would.

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


def findings(key: str, make: Callable[[], AccountSource], users: Users) -> Iterator[Finding]:
    """Problems of one source, by the same questions.

    Args:
        key, make, users: as for `examine`.
    """
    try:
        source = make()
    except ConfigurationError as error:
        yield from (cannot_tell(key, problem, "accounts") for problem in error.problems)
        return
    with contextlib.closing(source):
        try:
            for line, status in _nobody(source):
                if status:
                    yield critical(
                        f"{key}: {line}",
                        "mail for anybody at all is accepted, and makes a mailbox",
                        f"mend what {key} is asked, then: autocreate accounts check",
                    )
            for line, status in _listed(source, users):
                if status:
                    yield warning(
                        f"{key}: {line}",
                        "whoever has an account there may be unknown to us, and refused",
                        f"mend what {key} is asked, then: autocreate accounts check --user NAME",
                    )
        except AutocreateError as error:
            yield cannot_tell(key, str(error), "accounts")


def cannot_tell(key: str, problem: str, command: str) -> Finding:
    """The finding about a source, or a table of aliases, that cannot be asked.

    Args:
        command: that asks it alone: "accounts" or "aliases".
    """
    return critical(
        f"{key} cannot tell who exists: {problem}",
        "recipients are put off (451) whom nobody else can tell of, unknown ones too",
        f"mend {key}, or its server, until this is content: autocreate {command} check",
    )


def overall(reports: list[SourceReport]) -> int:
    """The exit status of all reports: the gravest, where one yes is enough for a user."""
    grave = max((it.status for it in reports if it.status != _UNKNOWN), default=0)
    is_unknown = bool(reports) and all(it.status == _UNKNOWN for it in reports)
    return grave or (_UNKNOWN if is_unknown else 0)


def _questions(source: AccountSource, users: Users, user: str | None) -> Iterator[tuple[str, int]]:
    yield from _nobody(source)
    yield from _listed(source, users)
    if user is not None:
        yield from _asked_for(source, users.by_mail(user))


def _nobody(source: AccountSource) -> Iterator[tuple[str, int]]:
    begun = time.monotonic()
    if source.lookup(NOBODY) is not None:
        yield (
            f"finds even {NOBODY!r}: it would accept mail for anyone; what it is asked must depend "
            "on the user",
            ConfigurationError.exit_status,
        )
    yield f"answers in {(time.monotonic() - begun) * 1000:.1f} ms, with the connection", 0


def _listed(source: AccountSource, users: Users) -> Iterator[tuple[str, int]]:
    names = source.names()
    if names is None:
        yield "does not list its users, so whether it finds anybody shows only with --user", 0
        return
    first, odd = _sample(names, users)
    if first is None:
        yield (
            "lists nobody: what it is asked matches nothing that is there, or that it may see",
            ConfigurationError.exit_status,
        )
        return
    wrong = [it for name in dict.fromkeys((first, *odd)) if (it := _missed(source, users, name))]
    yield from wrong[:_TOLD]
    if len(wrong) > _TOLD:
        yield f"... and {len(wrong) - _TOLD} more like these", wrong[0][1]
    if wrong:
        return
    yield f"lists users, such as {first!r}", 0
    if odd:
        yield f"finds those it spells otherwise than Cyrus, such as {odd[0]!r}, too", 0
    account = source.lookup(users.by_mail(first))
    if source.has_groups and account:
        source.groups(account)
        yield "tells groups", 0


def _sample(names: Iterator[str], users: Users) -> tuple[str | None, list[str]]:
    """The first name of a list, and some that are not spelled as Cyrus spells them.

    The list is done with when this returns: some databases answer one question at a time.
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
            f"lists {name!r} and {other!r}, who are one user to Cyrus, {user!r}: rename one",
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
        return "this source knows none"
    return ", ".join(sorted(source.groups(account))) or "none"
