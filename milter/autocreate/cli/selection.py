"""Which accounts a command is about: its options, and what is opened for it."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from autocreate.admin.bulk import Selection
    from autocreate.wiring.service import Components

_STDIN = "-"


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which accounts are meant."""
    for option in (
        click.option("--all", "everybody", is_flag=True, help="Every account that is listed."),
        click.option("--source", "sources", multiple=True, help="Accounts of this source."),
        click.option("--group", "groups", multiple=True, help="Accounts in this group."),
        click.option(
            "--domain",
            default="",
            help="Accounts of this domain. Where user ids have none (virtdomains is off): all, as for mail to it.",
        ),
    ):
        command = option(command)
    return command


def chosen_by(
    names: tuple[str, ...],
    everybody: bool,
    sources: tuple[str, ...],
    groups: tuple[str, ...],
    domain: str,
    are_users: bool = False,
) -> "Selection | None":
    """The selection that the options make; None if addresses were named one by one."""
    from autocreate.admin.bulk import Selection

    is_listed = everybody or bool(sources or groups or domain)
    if names and is_listed:
        raise click.UsageError("name users, or take them from the account sources, not both")
    if not names and not is_listed:
        raise click.UsageError(
            "nobody is named: give users, - for a list on standard input, or --all, --source, "
            "--group, --domain"
        )
    if names == (_STDIN,):
        return Selection(users=_listed())
    if _STDIN in names:
        raise click.UsageError("`-` takes all users from standard input: name no others beside it")
    if names and are_users:
        return Selection(users=tuple(_text(name, "the command line") for name in names))
    return None if names else normal(Selection(sources, groups, domain))


def _listed() -> tuple[str, ...]:
    """Users from standard input, one a line."""
    if sys.stdin is None:
        raise click.UsageError("standard input is closed, from which `-` takes users")
    lines = enumerate(sys.stdin.buffer, 1)
    names = (_text(os.fsdecode(line).strip(), f"line {number}") for number, line in lines)
    return tuple(name for name in names if name)


def _text(name: str, where: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise click.UsageError(f"{where}: a name that is not UTF-8") from None
    return name


def normal(selection: "Selection") -> "Selection":
    """The selection with its domain as a lower-case A-label, as configurations have it."""
    from dataclasses import replace

    from autocreate.core.address import normal_domain
    from autocreate.errors import Malformed

    try:
        return replace(selection, domain=normal_domain(selection.domain))
    except Malformed as error:
        raise click.UsageError(f"--domain: {error}") from error


def exempt_by(components: "Components", selection: "Selection") -> Callable[[str], bool]:
    """Tells of a user who has an account whether it is to have no mailbox. A doubt is no."""
    from autocreate.errors import AutocreateError

    def is_exempt(user: str) -> bool:
        try:
            return components.provisioner.is_exempt(
                components.accounts.address(user, selection), user
            )
        except AutocreateError:
            return False  # whoever does something for the user hears of it

    return is_exempt


def require_known(
    components: "Components", selection: "Selection", policy: str | None = None
) -> None:
    """A name that is nobody's would select nothing, or by another policy, and say nothing of it."""
    from autocreate.errors import ConfigurationError

    domain = selection.domain
    if domain and not components.service.has_domain(domain):
        raise ConfigurationError(
            "--domain", [f"{domain} is not among milter.domains, and in no table of [domains]"]
        )
    by_domain = any(it.domains for it in components.provisioner.policies)
    if by_domain and not components.accounts.knows_domain(selection):
        raise ConfigurationError(
            "--domain",
            [
                "policies go by domains, and user ids have none (virtdomains is off): name the domain "
                "for which accounts are to be judged"
            ],
        )
    policies = [it.name for it in components.provisioner.policies]
    if policy is not None and policy not in policies:
        raise ConfigurationError(
            "--policy", [f"there is no policy {policy!r}; one of {', '.join(policies)}"]
        )


@contextmanager
def open_components(config_path: Path) -> Iterator["Components"]:
    """What many users at once need, as the file has it. Its log has errors alone."""
    from contextlib import closing

    from autocreate import logs
    from autocreate.config import load
    from autocreate.wiring.service import build_components

    settings = load(config_path)
    logs.configure(settings.log.format, "error")
    components = build_components(settings)
    with closing(components.service):
        yield components
