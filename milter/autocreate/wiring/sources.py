"""Account sources, tables of domains and tables of aliases, made as the configuration says."""

import contextlib
from collections.abc import Callable, Collection
from dataclasses import fields
from functools import partial
from importlib import import_module
from typing import Any

from autocreate.accounts import SOURCES, AccountSource
from autocreate.accounts.cached import CachedSource, Limits
from autocreate.aliases.file import Includes
from autocreate.aliases.keys import Style
from autocreate.aliases.resolver import Aliases
from autocreate.aliases.stages import Table
from autocreate.aliases.tables import TABLES, AliasTable, InstrumentedTable, Type
from autocreate.config.accounts import Accounts as AccountSettings
from autocreate.config.aliases import Aliases as AliasSettings
from autocreate.config.aliases import AliasesFile, Postmap, VirtualFile
from autocreate.config.domains import Domains as DomainSettings
from autocreate.config.sections import Config
from autocreate.config.servers import LdapServer, SqlServer
from autocreate.config.types import Section
from autocreate.core.naming import Users
from autocreate.domains.hosted import DomainTables
from autocreate.domains.tables import DOMAIN_TABLES
from autocreate.errors import ConfigurationError
from autocreate.resilience.single_flight import SingleFlight
from autocreate.statistics.recorder import Statistics
from autocreate.wiring.loading import Loader
from autocreate.wiring.users import users_of

# The keys of a table of aliases that say how it is asked, whatever its type.
_HOW_ASKED = {"style", "domains", "origin", "alias_domains"}

# In the order of `Limits`.
_CACHE_KEYS = ("cache_seconds", "cache_negative_seconds", "cache_error_seconds", "cache_size")


# The keys of an account source that only [watch] uses.
_WATCH_KEYS = ("changed_query", "changed_attribute")


def account_makers(config: Config) -> dict[str, Callable[[], AccountSource]]:
    """What makes each account source, bare, by its key: `accounts.staff`."""
    return {f"accounts.{name}": partial(source_of, name, config) for name in config.accounts}


def domain_makers(config: Config) -> dict[str, Callable[[], AliasTable]]:
    """What makes each table of domains, bare, by its key."""
    return {
        f"domains.{name}": partial(domain_table, name, settings)
        for name, settings in config.domains.items()
    }


def alias_makers(config: Config) -> dict[str, Callable[[], AliasTable]]:
    """What makes each table of aliases, bare, by its key."""
    return {
        f"aliases.{name}": partial(alias_table, name, settings)
        for name, settings in config.aliases.items()
    }


def sources_of(config: Config, statistics: Statistics, loader: Loader) -> list[AccountSource]:
    """The account sources in their order, each with its memory and breaker."""
    return [
        CachedSource(
            loader.noted(source_of(name, config)),
            Limits(*(getattr(settings, key) for key in _CACHE_KEYS)),
            stats=statistics.stats(f"accounts.{name}"),
        )
        for name, settings in config.accounts.items()
    ]


def source_of(name: str, config: Config) -> AccountSource:
    """One account source, bare."""
    return account_source(name, config.accounts[name], users_of(config))


def account_source(name: str, settings: AccountSettings, users: Users) -> AccountSource:
    """The account source of a section.

    Raises:
        ConfigurationError: it cannot be made: a driver or a password is missing.
    """
    module, factory = SOURCES[settings.type]
    arguments = {
        "users": users,
        **_arguments(f"accounts.{name}", settings, (*_CACHE_KEYS, *_WATCH_KEYS)),
    }
    source: AccountSource = _factory(f"accounts.{name}", settings.type, module, factory)(
        name, **arguments
    )
    return source


def domains_of(config: Config, statistics: Statistics, loader: Loader) -> DomainTables | None:
    """All tables of domains as one; None if there are none."""
    if not config.domains:
        return None
    with contextlib.ExitStack() as opened:  # closes those that are open if one cannot be made
        tables = [
            InstrumentedTable(
                loader.noted(
                    opened.enter_context(contextlib.closing(domain_table(name, settings)))
                ),
                stats=statistics.stats(f"domains.{name}"),
                key=f"domains.{name}",
            )
            for name, settings in config.domains.items()
        ]
        release = opened.pop_all()
    milter = config.milter
    return DomainTables(
        SingleFlight(milter.workers),
        tables,
        milter.cache_size,
        milter.cache_seconds,
        milter.alias_seconds,
        release.close,
    )


def aliases_of(
    config: Config,
    statistics: Statistics,
    domain_tables: DomainTables | None,
    loader: Loader,
) -> Aliases | None:
    """All tables of aliases as one; None if there are none."""
    if not config.aliases:
        return None
    includes = Includes()
    with contextlib.ExitStack() as opened:
        tables = {
            name: InstrumentedTable(
                loader.noted(opened.enter_context(contextlib.closing(alias_table(name, settings)))),
                stats=statistics.stats(f"aliases.{name}"),
            )
            for name, settings in config.aliases.items()
        }
        release = opened.pop_all()
    return Aliases(
        SingleFlight(config.milter.workers),
        [_lookups(config.aliases[name], table, includes) for name, table in tables.items()],
        frozenset(config.milter.domains),
        config.milter.recipient_delimiter,
        config.milter.cache_size,
        config.milter.alias_seconds,
        {name: table.stats for name, table in tables.items()},
        release.close,
        is_hosted=domain_tables.is_hosted if domain_tables else lambda _: False,
    )


def _lookups(settings: AliasSettings, table: InstrumentedTable, includes: Includes) -> Table:
    """A table as it takes part in lookups: how it is asked, and for which addresses."""
    asked = settings.model_dump(include=_HOW_ASKED)
    style = _style(settings)
    domains = asked.get("domains")
    if domains is None and not style.has_local_parts:
        domains = ()
    may_include = TABLES[settings.type].may_include and style.has_local_parts
    return Table(
        table.name,
        style,
        table.find,
        includes.read if may_include else None,
        table.find_many,
        None if domains is None else frozenset(domains),
        asked.get("origin", ""),
        frozenset(asked.get("alias_domains", ())),
    )


def domain_table(name: str, settings: DomainSettings) -> AliasTable:
    """One table of domains, bare."""
    return _table("domains", name, settings, DOMAIN_TABLES[settings.type])


def alias_styles(config: Config) -> frozenset[str]:
    """How the tables of aliases are asked."""
    return frozenset(_style(settings).value for settings in config.aliases.values())


def alias_origins(config: Config) -> frozenset[str]:
    """The origins of the tables that an administrator writes for Postfix, where bare names are usual."""
    return frozenset(
        settings.origin
        for settings in config.aliases.values()
        if isinstance(settings, VirtualFile | AliasesFile | Postmap)
        and _style(settings) in (Style.CANONICAL, Style.VIRTUAL, Style.ALIASES)
    )


def _style(settings: AliasSettings) -> Style:
    return Style(getattr(settings, "style", TABLES[settings.type].style))


def alias_table(name: str, settings: AliasSettings) -> AliasTable:
    """One table of aliases, bare."""
    return _table("aliases", name, settings, TABLES[settings.type])


def _table(
    section: str, name: str, settings: AliasSettings | DomainSettings, kind: Type
) -> AliasTable:
    key = f"{section}.{name}"
    make = _factory(key, settings.type, kind.module, kind.factory)
    table: AliasTable = make(name, **_arguments(key, settings, _HOW_ASKED))
    return table


def _arguments(key: str, settings: Section, not_its: Collection[str]) -> dict[str, Any]:
    """What a source or a table is made with: the keys of its section, those of its server as one value."""
    others = {"type", *not_its}
    if not isinstance(settings, LdapServer | SqlServer):
        return settings.model_dump(exclude=others)
    server = settings.options(key)
    others |= {field.name for field in fields(server)}
    return {"server": server, **settings.model_dump(exclude=others)}


def _factory(key: str, kind: str, module: str, name: str) -> Callable[..., Any]:
    """The class of a source or a table. It is imported only now: some need a driver that is an extra."""
    try:
        factory: Callable[..., Any] = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(key, [f"{error}; install autocreate-milter[{kind}]"]) from error
    return factory
