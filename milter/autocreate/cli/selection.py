"""The options and arguments that select accounts."""

import functools
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from autocreate.admin.selection import Selection

_STDIN = "-"


class Filters(NamedTuple):
    """The options that select accounts from what the account sources list."""

    everybody: bool
    sources: tuple[str, ...]
    groups: tuple[str, ...]
    domain: str


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select accounts; the command gets them as `filters`."""

    @functools.wraps(command)
    def with_filters(
        everybody: bool, sources: tuple[str, ...], groups: tuple[str, ...], domain: str, **rest: Any
    ) -> Any:
        return command(filters=Filters(everybody, sources, groups, domain), **rest)

    # The last decorator comes first in the help text.
    for option in (
        click.option(
            "--domain",
            default="",
            help="Accounts of this domain. With virtdomains off this does not filter: policies are "
            "evaluated as for mail to this domain.",
        ),
        click.option(
            "--group", "groups", multiple=True, help="Accounts in this group. May be repeated."
        ),
        click.option(
            "--source", "sources", multiple=True, help="Accounts of this source. May be repeated."
        ),
        click.option("--all", "everybody", is_flag=True, help="All accounts that are listed."),
    ):
        with_filters = option(with_filters)
    return with_filters


def selection_of(
    names: tuple[str, ...], filters: Filters, are_users: bool = False
) -> "Selection | None":
    """The selection that arguments and options make; None if addresses are given by name.

    Args:
        are_users: names are user ids, not addresses.
    """
    from autocreate.admin.selection import Selection

    is_filtered = any(filters)
    if names and is_filtered:
        raise click.UsageError("give users, or --all, --source, --group, --domain, not both")
    if not names and not is_filtered:
        raise click.UsageError(
            "no users given: name users, or use -, --all, --source, --group, --domain"
        )
    if names == (_STDIN,):
        return Selection(users=_read_users())
    if _STDIN in names:
        raise click.UsageError("`-` reads all users from standard input: give no others beside it")
    if names and are_users:
        return Selection(users=tuple(_text(name, "the command line") for name in names))
    return None if names else filtered(filters)


def filtered(filters: Filters) -> "Selection":
    """The selection that options make, its domain a lower-case A-label as in configurations."""
    from autocreate.admin.selection import Selection
    from autocreate.core.address import normal_domain
    from autocreate.errors import Malformed

    try:
        domain = normal_domain(filters.domain)
    except Malformed as error:
        raise click.UsageError(f"--domain: {error}") from error
    return Selection(filters.sources, filters.groups, domain)


def _read_users() -> tuple[str, ...]:
    """Users from standard input, one a line."""
    if sys.stdin is None:
        raise click.UsageError("`-` reads users from standard input, which is closed")
    lines = enumerate(sys.stdin.buffer, 1)
    names = (_text(os.fsdecode(line).strip(), f"line {number}") for number, line in lines)
    return tuple(name for name in names if name)


def _text(name: str, where: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise click.UsageError(f"{where}: a name is not UTF-8") from None
    return name
