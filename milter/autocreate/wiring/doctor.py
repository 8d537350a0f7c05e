"""What `doctor` is to look at, by the configuration."""

import contextlib
import pwd
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from autocreate.config import imapd, load
from autocreate.config.files import files_of
from autocreate.config.login import Login
from autocreate.config.policy import impossible_folders
from autocreate.config.sections import Config
from autocreate.core.address import parse
from autocreate.doctor import (
    doctor,
    probe_accounts,
    probe_files,
    probe_journal,
    probe_lmtp,
    probe_tables,
)
from autocreate.doctor.cyrus import Expected
from autocreate.doctor.cyrus_services import own_files
from autocreate.doctor.doctor import CyrusTarget, MtaPaths
from autocreate.doctor.findings import Finding, MilterSettings, critical, warning
from autocreate.doctor.permissions import UnixUser
from autocreate.doctor.probe_sockets import Endpoint, person
from autocreate.errors import ConfigurationError, Temporary
from autocreate.frontends.control import ask
from autocreate.imapdconf.parser import Options
from autocreate.imapdconf.settings import CyrusFiles
from autocreate.mailstore.cyrus import Cyrus
from autocreate.mailstore.server import Server
from autocreate.model import Address
from autocreate.statistics.recorder import Statistics
from autocreate.wiring import sources
from autocreate.wiring.frontends import control_sockets
from autocreate.wiring.mailstore import server_of, sieve_server_of
from autocreate.wiring.policies import scripts
from autocreate.wiring.users import users_of

_HERE = re.compile(r"localhost|127\.[0-9.]+|::1")


@dataclass(frozen=True, slots=True)
class CyrusPaths:
    """Where Cyrus's files are, if an administrator says so."""

    imapd_conf: Path | None = None
    cyrus_conf: Path | None = None


def diagnose(path: Path, mtas: MtaPaths, cyrus: CyrusPaths) -> list[Finding]:
    """What would bite, in the MTA's, Cyrus's and our own configuration.

    Args:
        path: our configuration. If it is wrong, nothing else is looked at.
    """
    try:
        config = load(path)
        server = server_of(config)
    except ConfigurationError as error:
        return [
            critical(
                problem,
                "our milter does not start on it; one that runs goes on with what it has read",
                "mend it (man autocreate.toml), then: autocreate config check",
            )
            for problem in str(error).splitlines()
        ]
    milter, login, lmtp = config.milter, config.login, config.lmtp
    has_scripts = config.cyrus.sieve == "managesieve" and bool(scripts(config))
    files, findings = _cyrus_files(config, cyrus)
    others = _own_files(files)
    expected = Expected(
        config.cyrus.admin,
        users_of(config),
        imap=_place(server.host, server.port),
        sieve=_place(server.host, config.cyrus.sieve_port),
        login_socket=_path(login.socket) if login and login.upstream else "",
        notify_socket=_path(login.notify_socket or "") if login else "",
        managesieve=has_scripts,
    )
    sieve = sieve_server_of(config, server) if has_scripts else None
    ours = MilterSettings(
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
        default_domain=config.cyrus.defaultdomain if config.cyrus.virtdomains != "off" else "",
    )
    serving = _serving(config)
    backend = CyrusTarget(server, sieve, files, expected, others)
    return [
        *_readable_passwords(path, config),
        *doctor.examine(
            ours,
            list(_doors(config)),
            backend,
            mtas,
            without_mailbox=partial(_without_mailbox, config, server),
        ),
        *findings,
        *_impossible_folders(config, files),
        *(probe_lmtp.examine(lmtp.address, lmtp.timeout, serving) if lmtp else ()),
        *probe_journal.examine(config.journal.url),
        *probe_accounts.findings(sources.account_makers(config), users_of(config)),
        *probe_tables.findings(sources.domain_makers(config), sources.alias_makers(config)),
        *probe_files.examine(
            serving,
            [("our configuration", path), *files_of(config)],
            probe_journal.path_of(config.journal.url),
        ),
    ]


def _without_mailbox(config: Config, server: Server, address: str) -> list[str]:
    """The users without a mailbox to whom an address of ours leads, by the aliases that there are.

    Raises:
        Temporary, Refused, Malformed: that cannot be told.
    """
    meant, users = parse(address), users_of(config)
    leads_to: Sequence[Address] = (meant,)
    with contextlib.ExitStack() as opened:
        domains = sources.domains_of(config, Statistics())
        if domains:
            opened.callback(domains.close)
        if aliases := sources.aliases_of(config, Statistics(), domains):
            opened.callback(aliases.close)
            leads_to = aliases.resolve(meant, False, config.milter.deadline).users
        store = opened.enter_context(contextlib.closing(Cyrus(server, 1)))
        named = dict.fromkeys(filter(None, map(users.user_id, leads_to)))
        return [user for user in named if not store.exists(user)]


def _serving(config: Config) -> list[UnixUser]:
    """Whom the processes that serve run as; if none runs, the user whom our units name, if there is one."""
    found = {}
    places = control_sockets(config)
    for place in places:
        with contextlib.suppress(Temporary, ValueError):
            told = ask(place, "user")
            found[told["uid"]] = UnixUser(_name(told["uid"]), told["uid"], frozenset(told["gids"]))
    if places and not found and (installed := person("autocreate")):
        return [installed]
    return list(found.values())


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _readable_passwords(path: Path, config: Config) -> Iterator[Finding]:
    if not path.stat().st_mode & 0o004:
        return
    tables: Mapping[str, object] = {
        "journal": config.journal,
        **config.databases,
    }
    for key, table in tables.items():
        if re.match(r"[^/]+://[^/@]*:[^/@]+@", getattr(table, "url", "")):
            yield critical(
                f"{path} is readable by everyone, and {key}.url has a password in it",
                "every user of this machine can read that password",
                f"chown root:autocreate {path} && chmod 640 {path}",
            )


def _doors(config: Config) -> Iterator[Endpoint]:
    yield Endpoint(
        "milter.socket",
        config.milter.socket,
        callers=(),
        matters="the MTA puts everybody off until our milter runs and can be reached",
        remedy='autocreate.toml: milter.socket_group = "postfix"; for a folder: chgrp postfix and '
        "chmod 2750, as in contrib/postfix/README.md",
        unit="autocreate-milter",
        speaks_milter=True,
    )
    if config.login:
        yield from _login_doors(config.login)


def _login_doors(login: Login) -> Iterator[Endpoint]:
    callers = tuple(filter(None, map(person, login.peers)))
    unit = "autocreate-login"
    if login.upstream:
        yield Endpoint(
            "login.socket",
            login.socket,
            callers,
            matters="nobody can log in to a Cyrus that asks there",
            remedy='autocreate.toml: login.socket_mode = "0666" (`peers` says who may ask); '
            "for a folder: chmod o+x",
            unit=unit,
        )
    if login.notify_socket:
        yield Endpoint(
            "login.notify_socket",
            login.notify_socket,
            callers,
            matters="we do not hear of logins and of mailboxes that go",
            remedy='autocreate.toml: login.socket_mode = "0666" (`peers` says who may notify); '
            "for a folder: chmod o+x",
            unit=unit,
            kind=socket.SOCK_DGRAM,
        )


def _place(host: str, port: int) -> str:
    return f"inet:[{host}]:{port}" if ":" in host else f"inet:{host}:{port}"


def _path(place: str) -> str:
    """The path of a Unix socket, or "" for one that is inherited: where that is, systemd knows."""
    return place.removeprefix("unix:") if place.startswith("unix:") else ""


def _cyrus_files(config: Config, paths: CyrusPaths) -> tuple[CyrusFiles | None, list[Finding]]:
    """Cyrus's files: those that the command names, or our configuration, or Debian's if Cyrus is here."""
    named = config.cyrus.imapd_conf
    is_here = bool(_HERE.fullmatch(config.cyrus.host))
    path = paths.imapd_conf or (Path(named.path) if named else None)
    cyrus_conf = paths.cyrus_conf or config.cyrus.cyrus_conf
    if path is None and is_here:
        path = _if_there("/etc/imapd.conf")
        cyrus_conf = cyrus_conf or _if_there("/etc/cyrus.conf")
    if path is None:
        return None, []
    try:
        service = config.cyrus.lmtp_service
        return imapd.read(str(path), str(cyrus_conf) if cyrus_conf else None, service), []
    except OSError as error:
        unread = warning(
            f"{error.filename} cannot be read: {error.strerror}",
            "Cyrus's configuration was not looked at",
            "run this as root, or say where it is: --imapd-conf FILE, --cyrus-conf FILE",
        )
        return None, [unread]
    except ConfigurationError as error:
        return None, [
            critical(
                problem,
                "Cyrus does not start on it, or does not do what it says",
                "mend it, and restart Cyrus",
            )
            for problem in error.problems
        ]


def _own_files(files: CyrusFiles | None) -> dict[str, Options]:
    """The options of each imapd.conf that a service has of its own, of those that can be read."""
    found = {}
    for path in own_files(files) if files else ():
        with contextlib.suppress(OSError, ConfigurationError):
            found[path] = imapd.read(path, None).options
    return found


def _impossible_folders(config: Config, files: CyrusFiles | None) -> Iterator[Finding]:
    """What `config check` says by itself where our configuration names imapd.conf."""
    if files and not config.cyrus.imapd_conf:
        for problem in impossible_folders(config.policy, files.conf):
            yield warning(
                problem,
                "it is skipped for every new user, with a line in the log",
                "autocreate.toml: give it another name; write / between levels",
            )


def _if_there(path: str) -> Path | None:
    return Path(path) if Path(path).exists() else None
