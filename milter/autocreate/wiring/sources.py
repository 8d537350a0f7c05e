"""Account sources and tables of aliases: who exists, and who stands for whom."""

import contextlib
from collections.abc import Iterator
from functools import partial
from importlib import import_module

from autocreate.accounts import SOURCES, AccountSource
from autocreate.accounts.cached import CachedSource, Limits
from autocreate.admin.aliases import examine as examine_aliases
from autocreate.admin.aliases import examine_domains
from autocreate.aliases.file import Includes
from autocreate.aliases.keys import Style
from autocreate.aliases.resolver import Aliases
from autocreate.aliases.stages import Table
from autocreate.aliases.tables import TABLES, AliasTable, InstrumentedTable, Type
from autocreate.config.aliases import Aliases as AliasSettings
from autocreate.config.aliases import AliasesFile, Postmap, VirtualFile
from autocreate.config.domains import Domains as DomainSettings
from autocreate.config.sections import Config
from autocreate.doctor.findings import Finding
from autocreate.doctor.probe_accounts import SourceReport, cannot_tell
from autocreate.doctor.probe_accounts import examine as examine_source
from autocreate.doctor.probe_accounts import findings as source_findings
from autocreate.domains.hosted import DomainTables
from autocreate.domains.tables import DOMAIN_TABLES
from autocreate.errors import ConfigurationError
from autocreate.resilience.single_flight import SingleFlight
from autocreate.statistics.recorder import Statistics
from autocreate.wiring.users import users_of

# The keys of a table of aliases that say how it is asked, whatever its type.
_HOW_ASKED = {"style", "domains", "origin", "alias_domains"}


# As `Limits` has them.
_CACHE_KEYS = ("cache_seconds", "cache_negative_seconds", "cache_error_seconds", "cache_size")


def check_accounts(config: Config, user: str | None) -> list[SourceReport]:
    """Ask every account source, `user` too if given: see `autocreate.doctor.probe_accounts`."""
    users = users_of(config)
    return [
        examine_source(f"accounts.{name}", partial(source_of, name, config), users, user)
        for name in config.accounts
    ]


def check_tables(config: Config) -> list[SourceReport]:
    """Ask every table of domains and of aliases: see `autocreate.admin.aliases`."""
    domains = [
        examine_domains(f"domains.{name}", partial(domain_table, name, settings))
        for name, settings in config.domains.items()
    ]
    return domains + [
        examine_aliases(f"aliases.{name}", partial(_alias_table, name, settings))
        for name, settings in config.aliases.items()
    ]


def findings(config: Config) -> Iterator[Finding]:
    """What would bite in account sources and tables, by asking them."""
    users = users_of(config)
    for name in config.accounts:
        yield from source_findings(f"accounts.{name}", partial(source_of, name, config), users)
    for report in check_tables(config):
        if report.status:
            yield cannot_tell(report.source, report.lines[-1], "aliases")


def sources_of(config: Config, statistics: Statistics) -> list[AccountSource]:
    """The account sources in their order, each with its memory and breaker."""
    return [
        CachedSource(
            source_of(name, config),
            Limits(*(getattr(settings, key) for key in _CACHE_KEYS)),
            stats=statistics.stats(f"accounts.{name}"),
        )
        for name, settings in config.accounts.items()
    ]


def source_of(name: str, config: Config) -> AccountSource:
    """One account source, bare."""
    settings = config.accounts[name]
    module, factory = SOURCES[settings.type]
    options = settings.model_dump(exclude={"type", *_CACHE_KEYS})
    try:
        source: AccountSource = getattr(import_module(module), factory)(
            name, users=users_of(config), **options
        )
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"accounts.{name}", [f"{error}; install autocreate-milter[{settings.type}]"]
        ) from error
    return source


def domains_of(config: Config, statistics: Statistics) -> DomainTables | None:
    """All tables of domains as one; None if there are none."""
    if not config.domains:
        return None
    release = contextlib.ExitStack()
    tables = []
    for name, settings in config.domains.items():
        key = f"domains.{name}"
        table = InstrumentedTable(
            domain_table(name, settings), stats=statistics.stats(key), key=key
        )
        release.callback(table.close)
        tables.append(table)
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
    config: Config, statistics: Statistics, domain_tables: DomainTables | None
) -> Aliases | None:
    """All tables of aliases as one; None if there are none."""
    if not config.aliases:
        return None
    release = contextlib.ExitStack()
    includes = Includes()
    tables, stats = [], {}
    for name, settings in config.aliases.items():
        kind = TABLES[settings.type]
        asked = settings.model_dump(include=_HOW_ASKED)
        style = _style(settings)
        domains = asked.get("domains")
        if domains is None and not style.has_local_parts:
            domains = ()
        table = InstrumentedTable(
            _alias_table(name, settings), stats=statistics.stats(f"aliases.{name}")
        )
        stats[name] = table.stats
        release.callback(table.close)
        tables.append(
            Table(
                name,
                style,
                table.find,
                includes.read if kind.may_include and style.has_local_parts else None,
                table.find_many,
                None if domains is None else frozenset(domains),
                asked.get("origin", ""),
                frozenset(asked.get("alias_domains", ())),
            )
        )
    return Aliases(
        SingleFlight(config.milter.workers),
        tables,
        frozenset(config.milter.domains),
        config.milter.recipient_delimiter,
        config.milter.cache_size,
        config.milter.alias_seconds,
        stats,
        release.close,
        is_hosted=domain_tables.is_hosted if domain_tables else lambda _: False,
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


def _alias_table(name: str, settings: AliasSettings) -> AliasTable:
    return _table("aliases", name, settings, TABLES[settings.type])


def _table(
    section: str, name: str, settings: AliasSettings | DomainSettings, kind: Type
) -> AliasTable:
    keys = settings.model_dump(exclude={"type", *_HOW_ASKED})
    try:
        table: AliasTable = getattr(import_module(kind.module), kind.factory)(name, **keys)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{section}.{name}", [f"{error}; install autocreate-milter[{settings.type}]"]
        ) from error
    return table
