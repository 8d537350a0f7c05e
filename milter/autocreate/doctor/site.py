"""What doctor is given: values of autocreate.toml, and functions of rooms that it may not import."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from autocreate.accounts import AccountSource
from autocreate.aliases.tables import AliasTable
from autocreate.doctor import programs
from autocreate.doctor.cyrus import Expected
from autocreate.doctor.findings import MilterSettings
from autocreate.doctor.probe_murder import MurderTarget
from autocreate.doctor.programs import Runner
from autocreate.imapdconf.settings import CyrusFiles, ImapdConf
from autocreate.mailstore.server import Server


@dataclass(frozen=True, slots=True)
class MtaPaths:
    """Where the configurations of MTAs are: Postfix's folder, and sendmail.cf. Either may be missing."""

    postfix: Path
    sendmail: Path


@dataclass(frozen=True, slots=True)
class CyrusPaths:
    """Where Cyrus's configuration files are; None where nobody names them."""

    imapd_conf: Path | None = None
    cyrus_conf: Path | None = None

    def __str__(self) -> str:
        return " and ".join(str(path) for path in (self.imapd_conf, self.cyrus_conf) if path)


@dataclass(frozen=True, slots=True)
class CyrusTarget:
    """Cyrus, as autocreate.toml has it.

    Args:
        server: where it is, and how we log in.
        sieve: its ManageSieve; None if that installs no scripts.
        expected: what its configuration has to match.
        named: the files that autocreate.toml names.
        murder: the other servers of a Murder; None if autocreate.toml has no [cyrus.murder].
        partitioned: the policies that name a partition for INBOX.
    """

    server: Server
    sieve: Server | None
    expected: Expected
    named: CyrusPaths = CyrusPaths()
    murder: MurderTarget | None = None
    partitioned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoginSockets:
    """[login] of autocreate.toml.

    Args:
        passwords: where Cyrus sends passwords; "" if nowhere.
        notifications: where Cyrus sends notifications; "" if nowhere.
        peers: the names of the users who may connect.
    """

    passwords: str = ""
    notifications: str = ""
    peers: tuple[str, ...] = ()


class Lmtpd(NamedTuple):
    """[lmtp] of autocreate.toml: "unix:/path" or "inet:HOST:PORT", and seconds."""

    address: str
    timeout: float


@dataclass(frozen=True, slots=True)
class Site:
    """What doctor checks.

    Args:
        config_file: autocreate.toml.
        files: the other files that the milter's user has to read, each with its key.
        journal_url: `journal.url`.
        journal_password_file: `journal.password_file`.
        journal_where: the place of `journal.url`, for messages.
        control_sockets: of the processes that run with this configuration.
        cyrus_paths: the files that the command names.
        programs: what the milter runs, each with its key.
    """

    config_file: Path
    files: Sequence[tuple[str, Path]]
    journal_url: str
    journal_password_file: Path | None
    control_sockets: Sequence[Path]
    milter: MilterSettings
    login: LoginSockets
    lmtp: Lmtpd | None
    cyrus: CyrusTarget
    mtas: MtaPaths
    cyrus_paths: CyrusPaths = CyrusPaths()
    programs: Sequence[tuple[str, Path]] = ()
    journal_where: str = "journal.url"


class Recipients(NamedTuple):
    """Who gets the mail for an address of ours. Both raise AutocreateError if they cannot tell.

    Args:
        users: the ids of the users that an address leads to, through the aliases.
        has_mailbox: whether a user has a mailbox.
    """

    users: Callable[[str], Sequence[str]]
    has_mailbox: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Tools:
    """The functions that doctor checks with.

    Args:
        ask_process: asks a control socket for the user that its process runs as: `uid` and `gids`;
            raises Temporary if none runs.
        read_cyrus: reads an imapd.conf, and a cyrus.conf; raises OSError and ConfigurationError.
        impossible_folders: the problems of policies with folders that a Cyrus cannot have.
        lost_annotations: the annotations of policies that a Cyrus does not take, or has no use for.
        recipients: opens aliases and mailboxes; raises AutocreateError.
        accounts: make the account sources, by their key: `accounts.staff`.
        domains, aliases: make the tables of domains and of aliases, by their key.
        run: runs postconf and postmap.
        clock: the time in seconds since the epoch.
    """

    ask_process: Callable[[Path], Mapping[str, Any]]
    read_cyrus: Callable[[str, str | None], CyrusFiles]
    impossible_folders: Callable[[ImapdConf], Iterable[str]]
    recipients: Callable[[], AbstractContextManager[Recipients]]
    accounts: Mapping[str, Callable[[], AccountSource]]
    domains: Mapping[str, Callable[[], AliasTable]]
    aliases: Mapping[str, Callable[[], AliasTable]]
    run: Runner = programs.run
    clock: Callable[[], float] = time.time
    lost_annotations: Callable[[CyrusFiles], Iterable[str]] = lambda _files: ()
