"""From a configuration to a working service. The only file that knows every part."""

import contextlib
import logging
import pwd
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

from autocreate import provisioner, service
from autocreate.accounts import SOURCES, AccountSource
from autocreate.accounts.aliases import TABLES, AliasTable, Measured
from autocreate.accounts.aliasfile import Includes
from autocreate.accounts.directory import Directory
from autocreate.accounts.remembered import Limits, Remembered
from autocreate.admin import doctor, explain, report
from autocreate.admin.accounts import SourceReport
from autocreate.admin.accounts import examine as examine_source
from autocreate.admin.aliases import examine as examine_aliases
from autocreate.admin.bulk import Roster
from autocreate.admin.doctor import Mtas
from autocreate.admin.explain import User
from autocreate.admin.report import Report
from autocreate.aliases import Aliases
from autocreate.config import places
from autocreate.config.accounts import Accounts
from autocreate.config.aliases import Aliases as AliasSettings
from autocreate.config.login import Login, Upstream
from autocreate.config.places import Line
from autocreate.config.sections import Config
from autocreate.config.sections import Policy as PolicySettings
from autocreate.core.aliases import Table
from autocreate.core.aliaskeys import Style
from autocreate.core.findings import Finding, Ours
from autocreate.core.imapd import Sieve
from autocreate.core.naming import Users
from autocreate.core.policy import FromEntry, Policy, scripts_of
from autocreate.core.sieve import script_name
from autocreate.errors import ConfigurationError, Temporary
from autocreate.flights import Flights
from autocreate.frontends.control import Control
from autocreate.frontends.listener import listening
from autocreate.frontends.process import FrontEnd
from autocreate.journal import Journal
from autocreate.mailstore import MailStore, ScriptStore
from autocreate.mailstore.cyrus import Cyrus
from autocreate.mailstore.imap import Server
from autocreate.mailstore.managesieve import ManageSieve
from autocreate.mailstore.sievefiles import SieveFiles
from autocreate.model import Folder, Quota, Recipient, Script, Tree, Verdict
from autocreate.passwords import CHECKERS, PasswordChecker
from autocreate.provisioner import Provisioner
from autocreate.ready import Ready
from autocreate.service import Service
from autocreate.statistics import Statistics

log = logging.getLogger(__name__)

FrontEndName = Literal["milter", "login"]

# The keys of a table of aliases that say how it is asked, whatever its type.
_HOW_ASKED = {"style", "domains", "origin"}

# As `Limits` has them.
_CACHE_KEYS = ("cache_seconds", "cache_negative_seconds", "cache_error_seconds", "cache_size")

# With no policy in the file, every account gets an INBOX.
_INBOX_FOR_ALL = PolicySettings(name="default")


class Office(NamedTuple):
    """What is needed for many users at once: the service, and what it stands on."""

    service: Service
    provisioner: Provisioner
    accounts: Roster
    store: MailStore
    journal: Journal
    parallel: int


def build_service(
    config: Config, dry_run: bool = False, statistics: Statistics | None = None
) -> Service:
    """Everything that a front end or a command needs, connected to nothing yet but the journal.

    Args:
        dry_run: decide everything and do nothing, whatever the file says.
        statistics: where to count what is counted here, if anybody wants to know.

    Raises:
        ConfigurationError: an account source lacks its library.
        Temporary: the journal cannot be opened.
    """
    return build_office(config, dry_run, statistics).service


def build_office(
    config: Config, dry_run: bool = False, statistics: Statistics | None = None
) -> Office:
    """As `build_service`. Closing the service closes all of it."""
    for notice in config.cyrus.imapd_conf.notices if config.cyrus.imapd_conf else ():
        log.warning("%s", notice)
    statistics = statistics or Statistics()
    directory = Directory(_sources(config, statistics))
    aliases = _aliases(config, statistics)
    store = _store(config)
    journal = Journal(config.journal.url, time.time)
    ready = Ready(config.milter.cache_size, config.milter.cache_seconds)
    users = _users(config)
    cyrus = config.cyrus
    without_mailbox = frozenset((cyrus.admin, *cyrus.admins))

    def release() -> None:
        directory.close()
        store.close()
        journal.close()

    provisioner_ = Provisioner(
        provisioner.Rules(users, _policies(config), without_mailbox),
        directory,
        store,
        journal,
        ready,
        created=statistics.created,
    )
    service_ = Service(
        service.Rules(
            domains=frozenset(config.milter.domains),
            mailers=frozenset(config.milter.mailers),
            users=users,
            deadline=config.milter.deadline,
            **_login_rules(config.login),
            exempt=without_mailbox,
            dry_run=dry_run or config.milter.mode == "dry-run",
        ),
        provisioner_,
        journal,
        Flights(config.milter.workers),
        ready,
        release,
        aliases,
    )
    return Office(
        service_,
        provisioner_,
        Roster(directory, users.virtual_domains),
        store,
        journal,
        config.cyrus.connections,
    )


def explained(path: Path, config: Config, recipient: Recipient) -> tuple[Verdict, list[User]]:
    """The decision about a recipient, and all that can be told about its users.

    Args:
        path: the configuration's file, to tell its lines.
    """
    imapd = config.cyrus.imapd_conf

    def options(number: int) -> list[explain.Option]:
        lines: tuple[Line, ...] = ()
        if number < len(config.policy):
            lines = places.of_policy(path, number)
        elif imapd:
            lines = places.of_imapd_conf(imapd.path)
        return [explain.Option(line.place, line.text) for line in lines]

    office = build_office(config)
    with contextlib.closing(office.service), contextlib.ExitStack() as opened:
        sources = [_source(name, settings) for name, settings in config.accounts.items()]
        for source in sources:
            opened.callback(source.close)
        site = explain.Site(
            sources, _policies(config), office.store, _users(config).default_domain, options
        )
        verdict = office.service.preview(recipient)
        return verdict, explain.users_of(verdict, site)


def make_report(config: Config, since: float, until: float) -> Report:
    """What was seen in a time: see `autocreate.admin.report`.

    Raises:
        Temporary: the journal cannot be read.
    """
    with contextlib.closing(Journal(config.journal.url, time.time)) as journal:
        return report.gather(journal, since, until)


def diagnose(config: Config, mtas: Mtas) -> list[Finding]:
    """What would bite, in the MTA's, Cyrus's and our own configuration.

    Raises:
        Temporary: the password of Cyrus's administrator cannot be read.
    """
    milter = config.milter
    ours = Ours(
        milter.socket,
        milter.deadline,
        frozenset(milter.domains),
        frozenset(milter.mailers),
        milter.recipient_delimiter,
        bool(config.aliases),
    )
    return doctor.examine(ours, _server(config), config.cyrus.imapd_conf, _users(config), mtas)


def _login_rules(settings: Login | None) -> dict[str, Any]:
    if settings is None:
        return {}
    return {"patience": settings.deadline, "services": frozenset(settings.services)}


@contextlib.contextmanager
def open_frontends(config: Config, names: Sequence[FrontEndName]) -> Iterator[list[FrontEnd]]:
    """The front ends of these names, listening where the configuration says but serving nobody yet.

    Raises:
        ConfigurationError: one cannot listen at its place.
        Temporary: another instance owns the place.
    """
    with contextlib.ExitStack() as held:
        frontends: list[FrontEnd] = []
        if "milter" in names:
            frontends.append(held.enter_context(_milter(config)))
        if "login" in names:
            frontends += held.enter_context(_login(config.login))
        if place := _control_socket(config, names):
            listener = held.enter_context(listening("milter.control", f"unix:{place}", 0o600, None))
            frontends.append(Control(listener))
        if config.metrics.listen:
            frontends.append(held.enter_context(_metrics(config.metrics.listen)))
        yield frontends


@contextlib.contextmanager
def _metrics(place: str) -> Iterator[FrontEnd]:
    from autocreate.frontends.metrics import Metrics  # noqa: PLC0415 -- it loads prometheus_client

    with listening("metrics.listen", f"inet:{place}", 0, None) as listener:
        yield Metrics(listener)


def control_sockets(config: Config) -> list[Path]:
    """Where the processes that run by this configuration may be asked."""
    alone: list[list[FrontEndName]] = [["milter"], ["login"]]
    places = (_control_socket(config, names) for names in alone)
    return list(filter(None, places))


def _control_socket(config: Config, names: Sequence[FrontEndName]) -> Path | None:
    """Where a process with these front ends may be asked: beside the first one's own socket."""
    if "milter" in names and config.milter.control:
        return config.milter.control
    login = config.login.socket if config.login else ""
    beside = config.milter.socket if "milter" in names else login
    return Path(f"{beside.removeprefix('unix:')}.control") if beside.startswith("unix:") else None


def check_accounts(config: Config, user: str | None) -> list[SourceReport]:
    """Ask every account source, `user` too if given: see `autocreate.admin.accounts`."""
    return [
        examine_source(name, partial(_source, name, settings), user)
        for name, settings in config.accounts.items()
    ]


def check_aliases(config: Config) -> list[SourceReport]:
    """Ask every table of aliases: see `autocreate.admin.aliases`."""
    return [
        examine_aliases(name, partial(_alias_table, name, settings))
        for name, settings in config.aliases.items()
    ]


@contextlib.contextmanager
def _milter(config: Config) -> Iterator[FrontEnd]:
    from autocreate.frontends.milter import Milter  # noqa: PLC0415 -- it loads libmilter

    settings = config.milter
    mode = int(settings.socket_mode, 8)
    with listening("milter.socket", settings.socket, mode, settings.socket_group) as listener:
        yield Milter(listener)


@contextlib.contextmanager
def _login(settings: Login | None) -> Iterator[list[FrontEnd]]:
    from autocreate.frontends.events import Events  # noqa: PLC0415 -- only to serve logins
    from autocreate.frontends.login import LoginServer  # noqa: PLC0415

    if settings is None or not (settings.upstream or settings.notify_socket):
        raise ConfigurationError(
            "[login]", ["has neither upstream nor notify_socket; write one of them, or both"]
        )
    mode, group = int(settings.socket_mode, 8), settings.socket_group
    peers = [pwd.getpwnam(name).pw_uid for name in settings.peers]
    frontends: list[FrontEnd] = []
    with contextlib.ExitStack() as held:
        if settings.upstream:
            listener = held.enter_context(listening("login.socket", settings.socket, mode, group))
            checker = _checker(settings.upstream)
            frontends.append(LoginServer(listener, checker, peers, settings.requests))
        if settings.notify_socket:
            listener = held.enter_context(
                listening(
                    "login.notify_socket", settings.notify_socket, mode, group, socket.SOCK_DGRAM
                )
            )
            frontends.append(Events(listener, peers, settings.notifyd))
        yield frontends


def _checker(settings: Upstream) -> PasswordChecker:
    module, factory = CHECKERS[settings.type]
    checker: PasswordChecker = getattr(import_module(module), factory)(
        **settings.model_dump(exclude={"type"})
    )
    return checker


def scripts(config: Config) -> tuple[tuple[str, Script], ...]:
    """The Sieve scripts of a configuration, each with its policy's name."""
    return scripts_of(_policies(config))


def _users(config: Config) -> Users:
    return Users(
        virtual_domains=config.cyrus.virtdomains != "off",
        default_domain=config.cyrus.defaultdomain,
        to_lower=config.cyrus.lmtp_downcase_rcpt,
        logins_to_lower=config.cyrus.username_tolower,
        delimiters=config.milter.recipient_delimiter,
        post_user=config.cyrus.postuser,
    )


def _policies(config: Config) -> tuple[Policy, ...]:
    """The file's own, and imapd.conf's after them."""
    imapd = config.cyrus.imapd_conf
    policies = [_with_script(_policy(settings), _script_of(settings)) for settings in config.policy]
    if imapd:
        script = _default_script(imapd.sieve)
        policies += [_with_script(policy, script) for policy in imapd.policies]
    if config.cyrus.sieve == "off":
        policies = [_with_script(policy, None) for policy in policies]
    return tuple(policies) or (_policy(_INBOX_FOR_ALL),)


def _with_script(policy: Policy, script: Script | None) -> Policy:
    return replace(policy, tree=replace(policy.tree, script=script))


def _script_of(settings: PolicySettings) -> Script | None:
    if not settings.sieve:
        return None
    return _script(
        str(settings.sieve), str(settings.sieve_compiled or ""), settings.sieve_keep_compiled
    )


def _default_script(sieve: Sieve) -> Script | None:
    return _script(sieve.script, sieve.compiled, sieve.compile) if sieve.script else None


def _script(path: str, compiled: str, keep: bool) -> Script | None:
    """The script in a file. A file that cannot be used costs its users the script, not their mail."""
    try:
        return Script(script_name(path), Path(path).read_bytes(), path, compiled, keep)
    except OSError as error:
        log.error("nobody gets the sieve script %s: %s", path, error.strerror)
    except ValueError as error:
        log.error("nobody gets the sieve script %s: %s", path, error)
    return None


def _policy(settings: PolicySettings) -> Policy:
    folders = [
        Folder(
            folder.path,
            folder.special_use,
            folder.subscribe,
            tuple(folder.acl.items()),
            folder.partition,
        )
        for folder in settings.folders
    ]
    inbox = next((folder for folder in folders if folder.path == ()), Folder())
    inbox = replace(inbox, partition=settings.partition or inbox.partition)
    folders = [inbox, *(folder for folder in folders if folder.path != ())]
    return Policy(
        name=settings.name,
        tree=Tree(
            tuple(folders),
            Quota(settings.quota, settings.quota_messages),
            settings.subscribe_shared,
        ),
        users=frozenset(settings.users),
        groups=frozenset(settings.groups),
        domains=frozenset(settings.domains),
        services=frozenset(settings.services),
        create=settings.create,
        entry=FromEntry(
            settings.quota_attribute or "", settings.quota_unit, settings.partition_attribute or ""
        ),
    )


def _sources(config: Config, statistics: Statistics) -> list[AccountSource]:
    return [
        Remembered(
            _source(name, settings),
            Limits(*(getattr(settings, key) for key in _CACHE_KEYS)),
            figures=statistics.figures(f"accounts.{name}"),
        )
        for name, settings in config.accounts.items()
    ]


def _source(name: str, settings: Accounts) -> AccountSource:
    module, factory = SOURCES[settings.type]
    options = settings.model_dump(exclude={"type", *_CACHE_KEYS})
    try:
        source: AccountSource = getattr(import_module(module), factory)(name, **options)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"accounts.{name}", [f"{error}; install autocreate-milter[{settings.type}]"]
        ) from error
    return source


def _aliases(config: Config, statistics: Statistics) -> Aliases | None:
    if not config.aliases:
        return None
    release = contextlib.ExitStack()
    includes = Includes()
    tables, figures = [], {}
    for name, settings in config.aliases.items():
        kind = TABLES[settings.type]
        asked = settings.model_dump(include=_HOW_ASKED)
        style = Style(asked.get("style", kind.style))
        domains = asked.get("domains")
        if domains is None and style is not Style.ALIASES:
            domains = ()
        table = Measured(
            _alias_table(name, settings), figures=statistics.figures(f"aliases.{name}")
        )
        figures[name] = table.figures
        release.callback(table.close)
        tables.append(
            Table(
                name,
                style,
                table.find,
                includes.read if kind.may_include and style is Style.ALIASES else None,
                table.find_many,
                None if domains is None else frozenset(domains),
                asked.get("origin", ""),
            )
        )
    return Aliases(
        Flights(config.milter.workers),
        tables,
        frozenset(config.milter.domains),
        config.milter.recipient_delimiter,
        config.milter.cache_size,
        config.milter.alias_seconds,
        figures,
        release.close,
    )


def _alias_table(name: str, settings: AliasSettings) -> AliasTable:
    kind = TABLES[settings.type]
    keys = settings.model_dump(exclude={"type", *_HOW_ASKED})
    try:
        table: AliasTable = getattr(import_module(kind.module), kind.factory)(name, **keys)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"aliases.{name}", [f"{error}; install autocreate-milter[{settings.type}]"]
        ) from error
    return table


def _store(config: Config) -> MailStore:
    server = _server(config)
    return Cyrus(server, config.cyrus.connections, _scripts(config, server))


def _server(config: Config) -> Server:
    cyrus = config.cyrus
    try:
        password = cyrus.password_file.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError) as error:
        raise Temporary(f"cyrus.password_file: {error}") from error
    return Server(
        host=cyrus.host,
        port=cyrus.port,
        tls=cyrus.tls,
        admin=cyrus.admin,
        password=password,
        ca_file=str(cyrus.ca_file) if cyrus.ca_file else None,
        timeout=cyrus.timeout,
    )


def _scripts(config: Config, server: Server) -> ScriptStore | None:
    cyrus = config.cyrus
    # Whatever becomes of the script, it must leave time for the verdict.
    patience = min(cyrus.timeout, config.milter.deadline / 2)
    match cyrus.sieve:
        case "managesieve":
            return ManageSieve(replace(server, port=cyrus.sieve_port, timeout=patience))
        case "files":
            assert cyrus.imapd_conf is not None  # the configuration was checked
            return SieveFiles(cyrus.imapd_conf.path, cyrus.sievedir, patience)
        case "off":
            return None
