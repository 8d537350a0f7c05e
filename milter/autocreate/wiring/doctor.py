"""Builds what `doctor` is given, from the configuration."""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from autocreate.admin import annotations
from autocreate.config import imapd, load
from autocreate.config.files import files_of, programs_of
from autocreate.config.places import Places
from autocreate.config.policy import impossible_folders
from autocreate.config.sections import Config
from autocreate.core.address import parse
from autocreate.doctor import configuration, doctor
from autocreate.doctor.cyrus import Expected
from autocreate.doctor.findings import Checked, MilterSettings, Part
from autocreate.doctor.probe_murder import Backend, MurderTarget
from autocreate.doctor.site import (
    CyrusPaths,
    CyrusTarget,
    Lmtpd,
    LoginSockets,
    MtaPaths,
    Recipients,
    Site,
    Tools,
)
from autocreate.errors import ConfigurationError
from autocreate.frontends.control_client import ask
from autocreate.mailstore.cyrus import Cyrus
from autocreate.mailstore.server import Server
from autocreate.model import Address
from autocreate.statistics.recorder import Statistics
from autocreate.wiring import sources
from autocreate.wiring.control_sockets import control_sockets
from autocreate.wiring.loading import Loader
from autocreate.wiring.mailstore import mupdate_server_of, server_of, sieve_server_of, slave_of
from autocreate.wiring.policies import policies_of, scripts
from autocreate.wiring.users import users_of


def diagnose(
    path: Path, mtas: MtaPaths, cyrus_paths: CyrusPaths, only: Collection[Part] = tuple(Part)
) -> list[Checked]:
    """Check the configuration of the MTA, of Cyrus, and ours.

    Args:
        path: of autocreate.toml. If it has mistakes, nothing else is checked.
        mtas, cyrus_paths: the files that the command names.
        only: the parts to check.
    """
    try:
        config = load(path)
        server = server_of(config)
    except ConfigurationError as error:
        wrong = tuple(configuration.unusable(str(error).splitlines()))
        return [Checked(Part.CONFIG, str(path), wrong)]
    line = Places(path).of("journal", "url")
    site = Site(
        config_file=path,
        files=tuple(files_of(config)),
        journal_url=config.journal.url,
        journal_password_file=config.journal.password_file,
        control_sockets=control_sockets(config),
        milter=milter_settings(config),
        login=login_sockets(config),
        lmtp=Lmtpd(config.lmtp.address, config.lmtp.timeout) if config.lmtp else None,
        cyrus=cyrus_target(config, server),
        mtas=mtas,
        cyrus_paths=cyrus_paths,
        programs=tuple(programs_of(config)),
        journal_where=f"{line.place}: journal.url" if line else "journal.url",
    )
    return doctor.examine(site, tools(config, server), only)


def milter_settings(config: Config) -> MilterSettings:
    """Our side of the connection to the MTA."""
    milter, lmtp, cyrus = config.milter, config.lmtp, config.cyrus
    return MilterSettings(
        milter.socket,
        milter.deadline,
        domains=frozenset(milter.domains),
        mailers=frozenset(milter.mailers),
        delimiters=milter.recipient_delimiter,
        has_aliases=bool(config.aliases),
        has_domain_tables=bool(config.domains),
        alias_styles=sources.alias_styles(config),
        alias_origins=sources.alias_origins(config),
        quotes_dots=milter.lmtp_quote_rfc821_envelope,
        lmtp=lmtp.address if lmtp else "",
        lowers_domains=lmtp is not None and lmtp.lowercase_domains,
        default_domain=cyrus.defaultdomain if cyrus.virtdomains != "off" else "",
        is_dry_run=milter.mode == "dry-run",
        socketmap=config.socketmap.socket if config.socketmap else "",
        frontend=cyrus.host if cyrus.murder else "",
    )


def login_sockets(config: Config) -> LoginSockets:
    """The sockets of [login]."""
    login = config.login
    if login is None:
        return LoginSockets()
    passwords = login.socket if login.upstream else ""
    return LoginSockets(passwords, login.notify_socket or "", tuple(login.peers))


def cyrus_target(config: Config, server: Server) -> CyrusTarget:
    """Cyrus, and what its files have to match."""
    cyrus, login = config.cyrus, login_sockets(config)
    has_scripts = cyrus.sieve == "managesieve" and bool(scripts(config))
    expected = Expected(
        cyrus.admin,
        users_of(config),
        imap=_place(server.host, server.port),
        sieve=_place(server.host, cyrus.sieve_port),
        login_socket=_path(login.passwords),
        notify_socket=_path(login.notifications),
        managesieve=has_scripts,
        written=frozenset(cyrus.model_fields_set),
    )
    named = Path(cyrus.imapd_conf.path) if cyrus.imapd_conf else None
    return CyrusTarget(
        server,
        # In a Murder, scripts are installed at the backends.
        sieve_server_of(config, server) if has_scripts and not cyrus.murder else None,
        expected,
        CyrusPaths(named, cyrus.cyrus_conf),
        _murder_target(config, server, has_scripts) if cyrus.murder else None,
        tuple(it.name for it in policies_of(config) if it.tree.folders[0].partition),
    )


def _murder_target(config: Config, server: Server, has_scripts: bool) -> MurderTarget:
    murder = config.cyrus.murder
    assert murder is not None
    backends = {}
    for name, host in murder.backends.items():
        backend = replace(server, host=host)
        sieve = sieve_server_of(config, backend) if has_scripts else None
        backends[name] = Backend(backend, sieve)
    master, slave = mupdate_server_of(config, murder), slave_of(config, murder)
    return MurderTarget(master, slave, backends, murder.place)


def tools(config: Config, server: Server) -> Tools:
    """The functions that doctor checks with."""
    return Tools(
        ask_process=lambda control_socket: ask(control_socket, "user"),
        read_cyrus=partial(imapd.read, lmtp_service=config.cyrus.lmtp_service),
        impossible_folders=partial(impossible_folders, config.policy),
        lost_annotations=lambda files: annotations.problems(policies_of(config), files),
        recipients=partial(_recipients, config, server),
        accounts=sources.account_makers(config),
        domains=sources.domain_makers(config),
        aliases=sources.alias_makers(config),
    )


@contextlib.contextmanager
def _recipients(config: Config, server: Server) -> Iterator[Recipients]:
    """The aliases and Cyrus, opened to look recipients up."""
    spelled = users_of(config)
    with contextlib.ExitStack() as opened:
        domains = sources.domains_of(config, Statistics(), Loader())
        if domains:
            opened.callback(domains.close)
        aliases = sources.aliases_of(config, Statistics(), domains, Loader())
        if aliases:
            opened.callback(aliases.close)
        store = opened.enter_context(contextlib.closing(Cyrus(server, 1)))

        def users(text: str) -> list[str]:
            address = parse(text)
            reached: tuple[Address, ...] = (address,)
            if aliases:
                reached = tuple(aliases.resolve(address, False, config.milter.deadline).users)
            return list(dict.fromkeys(filter(None, map(spelled.user_id, reached))))

        yield Recipients(users, store.exists)


def _place(host: str, port: int) -> str:
    """A TCP endpoint as `autocreate.doctor.endpoints` has it."""
    return f"inet:[{host}]:{port}" if ":" in host else f"inet:{host}:{port}"


def _path(place: str) -> str:
    """The path of a Unix socket; "" for one that systemd holds, whose path is not in autocreate.toml."""
    return place.removeprefix("unix:") if place.startswith("unix:") else ""
