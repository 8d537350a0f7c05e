"""Account sources and tables as the configuration makes them, with its defaults, all named `it`.

The keys are not checked: tests also need what the configuration refuses, such as a database that is made
later, or a password that everybody can read.
"""

from __future__ import annotations

from typing import Any, get_args

from autocreate.accounts import AccountSource
from autocreate.aliases.tables import AliasTable
from autocreate.config.accounts import Accounts
from autocreate.config.aliases import Aliases
from autocreate.config.domains import Domains
from autocreate.config.types import Section
from autocreate.core.naming import CYRUS_DEFAULTS, Users
from autocreate.wiring import sources


def section(union: Any, type_: str, **keys: Any) -> Any:
    """The section of a type, among those of a union of the configuration, with these keys."""
    kinds: dict[str, type[Section]] = {
        get_args(kind.model_fields["type"].annotation)[0]: kind
        for kind in get_args(get_args(union)[0])
    }
    values: dict[str, Any] = {
        key: tuple(it) if isinstance(it, list) else it for key, it in keys.items()
    }
    return kinds[type_].model_construct(None, type=type_, **values)


def account_source(type_: str, users: Users = CYRUS_DEFAULTS, **keys: Any) -> AccountSource:
    return sources.account_source("it", section(Accounts, type_, **keys), users)


def alias_table(type_: str, **keys: Any) -> AliasTable:
    return sources.alias_table("it", section(Aliases, type_, **keys))


def domain_table(type_: str, **keys: Any) -> AliasTable:
    return sources.domain_table("it", section(Domains, type_, **keys))
