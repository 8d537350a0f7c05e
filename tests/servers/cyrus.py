"""A private Cyrus: IMAP, POP3, ManageSieve and LMTP on loopback, with users of its own and an administrator.

Its questions (`mailboxes`, `quota`, `acl`, ...) ask over IMAP with imaplib, independently of the product's own code, so
that they can judge it.
"""

from __future__ import annotations

import contextlib
import imaplib
import shutil
import signal
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from . import imapwords, sieve, syslog, tls
from .common import (
    HOST,
    free_port,
    greets,
    run,
    signal_all,
    wait_until,
)
from .cyrusversion import MASTER, version
from .program import Program

CYR_INFO = Path("/usr/lib/cyrus/bin/cyr_info")
NO_SPECIAL_USE = {
    "\\haschildren",
    "\\hasnochildren",
    "\\marked",
    "\\noinferiors",
    "\\nonexistent",
    "\\noselect",
    "\\remote",
    "\\subscribed",
    "\\unmarked",
}
PARTITION = "/shared/vendor/cmu/cyrus-imapd/partition"
UNIQUE_ID = "/shared/vendor/cmu/cyrus-imapd/uniqueid"


def other_resources() -> tuple[str, str]:
    """What quotas can limit besides storage and messages: annotations, and the number of folders."""
    # From 3.10 on, by the names of RFC 9208 (imap/quota_db.c).
    if version() < (3, 10):
        return "X-ANNOTATION-STORAGE", "X-NUM-FOLDERS"
    return "ANNOTATION-STORAGE", "MAILBOX"


imaplib.Commands.update({"GETMETADATA": ("AUTH", "SELECTED"), "SETMETADATA": ("AUTH", "SELECTED")})


class CyrusRefused(AssertionError):
    """Cyrus said NO or BAD."""


class _Imap(imaplib.IMAP4):
    """imaplib sends a literal in two pieces: without TCP_NODELAY each costs 40 ms."""

    def _create_socket(self, timeout: float | None) -> socket.socket:
        made: socket.socket = super()._create_socket(timeout)  # type: ignore[misc]
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


class Cyrus(Program):
    """`stop` and `start` keep ports and data."""

    name = "cyrus"
    output = "master.out"
    preforked: tuple[str, ...] = ("imap", "lmtp")
    host: str = HOST

    admin: Final = "cyrus"
    admin_password: Final = "correct horse"

    def __init__(
        self,
        *,
        imapd_conf: Mapping[str, str | None] | None = None,
        users: Mapping[str, str] | None = None,
        unixhierarchysep: bool = True,
        tls: bool = False,
        certificate_days: int = 2,
        services: Mapping[str, tuple[str, str]] | None = None,
        base: Path | None = None,
        environment: Mapping[str, str] | None = None,
        host: str = HOST,
        servername: str = "cyrus.test",
    ) -> None:
        """`services` adds to cyrus.conf's SERVICES: name -> (command, where it listens)."""
        super().__init__(base)
        self.host = host
        self.servername = servername
        self._options = dict(imapd_conf or {})
        self._users = {**(users or {}), self.admin: self.admin_password}
        self._unixhierarchysep = unixhierarchysep
        self._tls = tls
        self._certificate_days = certificate_days
        self._services = dict(services or {})
        self._variables = dict(environment or {})
        self.imap_port = free_port()
        self.imaps_port = free_port() if tls else 0
        self.pop3_port = free_port()
        self.sieve_port = free_port()
        self.lmtp_port = free_port()
        self.ca_file: Path | None = None

    # -- its life ----------------------------------------------------------------------------

    def start(self) -> None:
        syslog.shared()
        super().start()

    @property
    def _environment(self) -> Mapping[str, str]:
        return self._variables

    def _command(self) -> Sequence[str | Path]:
        return [
            *(MASTER, "-C", self.imapd_conf_file, "-M", self.cyrus_conf_file),
            *("-p", self.folder / "master.pid", "-D"),
        ]

    def _is_up(self) -> bool:
        return greets(self.imap_port, b"* OK", self.host) and greets(
            self.lmtp_port, b"220 ", self.host
        )

    def pids_of(self, program: str) -> set[int]:
        """The services that run a program, such as `lmtpd`."""
        return {it for it in self.pids if Path(f"/proc/{it}/comm").read_text().strip() == program}

    def kill_busy(self) -> None:
        """Kills the processes that serve a client now, by proc_path of imapd.conf(5).

        The master takes that. Of those that wait for a client, the sixth that dies within ten seconds makes it
        give up the service, until the next SIGHUP.
        """
        busy = [int(entry.name) for entry in (self.folder / "run/proc").iterdir()]
        assert busy
        signal_all(busy, signal.SIGKILL)

    def log(self) -> str:
        """What it said to syslog (nothing where a syslog daemon owns /dev/log)."""
        return super().log() + "\n".join(syslog.shared().lines(f"^{self.folder.name}/"))

    def has_option(self, name: str) -> bool:
        """Does this release know an option of imapd.conf?"""
        told = run([CYR_INFO, "-C", self.imapd_conf_file, "conf-default"])
        return any(line.startswith(f"{name}:") for line in told.splitlines())

    # -- its files ---------------------------------------------------------------------------

    @property
    def imapd_conf_file(self) -> Path:
        return self.folder / "imapd.conf"

    @property
    def cyrus_conf_file(self) -> Path:
        return self.folder / "cyrus.conf"

    def _lay_out(self) -> None:
        folder = self.folder
        for name in (
            "conf/db",
            "conf/socket",
            "spool/default",
            "spool/archive",
            "sieve",
            "run/proc",
            "run/lock",
        ):
            (folder / name).mkdir(parents=True)
        options: dict[str, str | None] = {
            "configdirectory": str(folder / "conf"),
            "proc_path": str(folder / "run/proc"),
            "mboxname_lockpath": str(folder / "run/lock"),
            "sievedir": str(folder / "sieve"),
            "defaultpartition": "default",
            "partition-default": str(folder / "spool/default"),
            "partition-archive": str(folder / "spool/archive"),
            "servername": self.servername,
            "syslog_prefix": folder.name,
            "admins": self.admin,
            "unixhierarchysep": "yes" if self._unixhierarchysep else "no",
            "altnamespace": "no",
            "allowplaintext": "yes",
            "sasl_mech_list": "PLAIN LOGIN",
            "sasl_pwcheck_method": "auxprop",
            "sasl_auxprop_plugin": "sasldb",
            "sasl_sasldb_path": str(folder / "sasldb2"),
            "failedloginpause": "0",
            "popminpoll": "0",
        }
        if self._tls:
            made = tls.make_certificate(folder, self._certificate_days)
            self.ca_file = made.ca_file
            options |= {
                "tls_server_cert": str(made.cert_file),
                "tls_server_key": str(made.key_file),
                "allowstarttls": "yes",  # off unless said from 3.10 on, and unknown before
            }
        options |= self._options
        self.imapd_conf_file.write_text(
            "".join(f"{key}: {value}\n" for key, value in options.items() if value is not None)
        )

        lines = ["START {"]
        for name, command in self._at_start().items():
            lines.append(f'  {name} cmd="{self._configured(command)}"')
        lines += ["}", "SERVICES {"]
        for name, (service, listen) in (self._daemons() | self._services).items():
            command = self._configured(service)
            lines.append(
                f'  {name} cmd="{command}" listen="{listen}" prefork={int(name in self.preforked)}'
            )
        self.cyrus_conf_file.write_text("\n".join([*lines, "}", "EVENTS {", "}", ""]))

        for user, password in self._users.items():
            self._set_password(user, password)
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, "cyrus", "mail")

    def _at_start(self) -> dict[str, str]:
        """cyrus.conf's START."""
        return {"recover": "ctl_cyrusdb -r"}

    def _daemons(self) -> dict[str, tuple[str, str]]:
        """cyrus.conf's SERVICES: the command, and where it listens."""
        services = {
            "imap": ("imapd", f"{self.host}:{self.imap_port}"),
            "lmtp": ("lmtpd -a", f"{self.host}:{self.lmtp_port}"),
            "pop3": ("pop3d", f"{self.host}:{self.pop3_port}"),
            "sieve": ("timsieved", f"{self.host}:{self.sieve_port}"),
        }
        if self._tls:
            services["imaps"] = ("imapd -s", f"{self.host}:{self.imaps_port}")
        return services

    def _configured(self, command: str) -> str:
        """A command of Cyrus's that reads our imapd.conf."""
        program, _, arguments = command.partition(" ")
        return f"{program} -C {self.imapd_conf_file} {arguments}".rstrip()

    def _set_password(self, user: str, password: str) -> None:
        for realm in self._realms():
            run(
                ["saslpasswd2", "-p", "-c", "-f", self.folder / "sasldb2", "-u", realm, user],
                stdin=password.encode(),
            )

    def _realms(self) -> tuple[str, ...]:
        """Where sasldb looks for users."""
        return (self.servername,)

    def add_user(self, user: str, password: str) -> None:
        self._set_password(user, password)

    # -- sessions ----------------------------------------------------------------------------

    def admin_session(self) -> contextlib.AbstractContextManager[imaplib.IMAP4]:
        return self._session(self.admin)

    def session(self, user: str) -> contextlib.AbstractContextManager[imaplib.IMAP4]:
        """The user's own session, opened by the administrator; it fires a native autocreate."""
        return self._session(user)

    @contextlib.contextmanager
    def _session(self, user: str, timeout: float = 20.0) -> Iterator[imaplib.IMAP4]:
        client = _Imap(self.host, self.imap_port, timeout)
        try:
            authorize = "" if user == self.admin else user
            words = f"{authorize}\0{self.admin}\0{self.admin_password}".encode()
            client.authenticate("PLAIN", lambda _challenge: words)
            yield client
        except imaplib.IMAP4.error as error:
            raise CyrusRefused(f"{error}\n{self.log()}") from error
        finally:
            with contextlib.suppress(OSError, imaplib.IMAP4.error):
                client.logout()

    def tls_context(self) -> ssl.SSLContext:
        """Trusts this server's authority and nobody else."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    # -- what stands -------------------------------------------------------------------------

    def mailboxes(self, pattern: str = "*") -> set[str]:
        """Names as the administrator writes them."""
        with self.admin_session() as imap:
            listed = _ask(imap, "LIST", '""', imapwords.quote(pattern))
            return {imapwords.decode(str(words[2])) for words in listed}

    def quota(self, mailbox: str) -> dict[str, int]:
        """The limits in force there: STORAGE in KiB, MESSAGE, ...; nothing if it has no quota root."""
        with self.admin_session() as imap:
            limits: dict[str, int] = {}
            for _root, resources in _ask(
                imap, "GETQUOTAROOT", imapwords.quote(mailbox), untagged="QUOTA"
            ):
                limits |= {
                    str(name): int(str(limit))
                    for name, limit in zip(resources[::3], resources[2::3], strict=False)
                }
            return limits

    def acl(self, mailbox: str) -> dict[str, str]:
        with self.admin_session() as imap:
            ((_mailbox, *pairs),) = _ask(imap, "GETACL", imapwords.quote(mailbox), untagged="ACL")
            return {
                str(who): str(rights) for who, rights in zip(pairs[::2], pairs[1::2], strict=False)
            }

    def special_use(self, user: str) -> dict[str, str]:
        """Names as the user sees them."""
        with self.session(user) as imap:
            found = {}
            for flags, _separator, name in _ask(imap, "LIST", '(SPECIAL-USE) "" "*"'):
                uses = [str(flag) for flag in flags if str(flag).lower() not in NO_SPECIAL_USE]
                if uses:
                    found[imapwords.decode(str(name))] = " ".join(uses)
            return found

    def subscriptions(self, user: str) -> set[str]:
        """Names as the user sees them."""
        with self.session(user) as imap:
            return {imapwords.decode(str(words[2])) for words in _ask(imap, "LSUB", '""', '"*"')}

    def partition(self, mailbox: str) -> str:
        return self.annotation(mailbox, PARTITION)

    def unique_id(self, mailbox: str) -> str:
        return self.annotation(mailbox, UNIQUE_ID)

    def annotation(self, mailbox: str, entry: str, user: str = "") -> str:
        """The value of an entry as the administrator sees it, or as a user does."""
        with self._session(user or self.admin) as imap:
            told = _ask(imap, "GETMETADATA", imapwords.quote(mailbox), entry, untagged="METADATA")
            return str(next(iter(told))[1][1])

    def messages(self, user: str, mailbox: str = "INBOX") -> list[bytes]:
        """Whole messages, unread afterwards as before; the mailbox as the user names it."""
        with self.session(user) as imap:
            status, said = imap.select(imapwords.quote(mailbox), readonly=True)
            if status != "OK":
                raise CyrusRefused(f"SELECT {mailbox}: {said!r}")
            if said == [b"0"]:
                return []
            _status, fetched = imap.fetch("1:*", "(BODY.PEEK[])")
            return [item[1] for item in fetched if isinstance(item, tuple)]

    def scripts(self, user: str) -> dict[str, sieve.Script]:
        """The user's Sieve scripts by name. The user's INBOX must stand."""
        with self.sieve_session(user) as session:
            return session.scripts()

    def sieve_session(self, user: str) -> sieve.Session:
        """The user's own ManageSieve session, opened by the administrator."""
        return sieve.Session(self, user)

    def wait_for_messages(self, user: str, count: int = 1, timeout: float = 10.0) -> list[bytes]:
        """Waits until a user's INBOX stands and holds so many."""

        def arrived() -> list[bytes]:
            try:
                found = self.messages(user)
            except CyrusRefused:
                return []
            return found if len(found) >= count else []

        return wait_until(arrived, timeout, f"{count} message(s) for {user}", self.log)

    # -- for tests only ----------------------------------------------------------------------

    def create(self, mailbox: str, arguments: str = "") -> None:
        """`arguments` as in CREATE: 'archive', '(USE (\\Sent))'."""
        with self.admin_session() as imap:
            _ask(imap, "CREATE", imapwords.quote(mailbox), *filter(None, [arguments]))

    @contextlib.contextmanager
    def without_writing(self, folder: str) -> Iterator[None]:
        """Nothing below a folder of its own can be made or changed by it, as on a disk that fails."""
        places = [self.folder / folder, *(self.folder / folder).rglob("*")]
        modes = {place: place.stat().st_mode & 0o777 for place in places}
        for place, mode in modes.items():
            shutil.chown(place, "root")
            place.chmod(mode & 0o555 | 0o444 | (0o111 if place.is_dir() else 0))
        try:
            yield
        finally:
            for place, mode in modes.items():
                shutil.chown(place, "cyrus")
                place.chmod(mode)

    def append(self, user: str, message: bytes = b"Subject: kept\r\n\r\nkept\r\n") -> None:
        """Puts a message into INBOX."""
        with self.session(user) as imap:
            status, said = imap.append("INBOX", "", "", message)
            assert status == "OK", said

    def set_quota(self, mailbox: str, storage: int) -> None:
        """A limit in KiB."""
        with self.admin_session() as imap:
            _ask(imap, "SETQUOTA", imapwords.quote(mailbox), f"(STORAGE {storage})")

    def set_acl(self, mailbox: str, identifier: str, rights: str) -> None:
        with self.admin_session() as imap:
            _ask(imap, "SETACL", imapwords.quote(mailbox), identifier, rights)

    def deny(self, user: str, service: str = "lmtp") -> None:
        """Denies a user a service, by cyr_deny(8)."""
        run([MASTER.with_name("cyr_deny"), "-C", self.imapd_conf_file, "-s", service, user])
        shutil.chown(self.folder / "conf/user_deny.db", "cyrus", "mail")

    def delete(self, mailbox: str) -> None:
        with self.admin_session() as imap:
            _ask(imap, "SETACL", imapwords.quote(mailbox), self.admin, "lrswipkxtecda")
            _ask(imap, "DELETE", imapwords.quote(mailbox))


def _ask(
    imap: imaplib.IMAP4, command: str, *arguments: str, untagged: str | None = None
) -> list[list[Any]]:
    """The untagged answers to a command, split into words."""
    imap.response(untagged or command)  # forget older ones
    status, said = imap.xatom(command, *arguments)
    if status != "OK":
        raise CyrusRefused(f"{command} {' '.join(arguments)}: {said!r}")
    return list(imapwords.responses(imap.response(untagged or command)[1]))
