"""A private Cyrus Murder (the standard kind): a MUPDATE master, backends, and frontends, all on loopback.

Cyrus's proxies connect to the registered ports (143, 24, 4190, 3905) of a server's name, which cannot be changed. So
each member has an address of its own in 127/8. Debian's /etc/services knows neither `mupdate` nor `lmtp`; each member
sees one that does, in a mount namespace of its own.
"""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from . import imapwords
from .common import fresh_folder, greets, secret_file, wait_until
from .cyrus import Cyrus
from .life import Life
from .relay import Relay

IMAP, LMTP, SIEVE, MUPDATE = 143, 24, 4190, 3905

REALM: Final = "murder.test"
ADMIN: Final = "mupdateuser"
ADMIN_PASSWORD: Final = "battery staple"
_PROXY = "mproxy"
_PROXY_PASSWORD = "proxied words"


@dataclass(frozen=True)
class _Network:
    """The addresses of a Murder, and the /etc/services that its members see."""

    prefix: str
    services: Path

    @property
    def master(self) -> str:
        return self.address(1)

    def address(self, number: int) -> str:
        return f"{self.prefix}.{number}"


class Member(Cyrus):
    """A server of a Murder. `stop`, `start`, `pause` and `resume` are as for any server of the tests."""

    def __init__(
        self,
        network: _Network,
        number: int,
        options: Mapping[str, str],
        users: Mapping[str, str],
        base: Path | None,
    ) -> None:
        address = network.address(number)
        everyone = {
            "admins": f"{self.admin} {ADMIN}",
            "defaultdomain": REALM,
            "loginrealms": REALM,
            "mupdate_server": network.master,
            "mupdate_username": ADMIN,
            "mupdate_authname": ADMIN,
            "mupdate_realm": REALM,
            "mupdate_password": ADMIN_PASSWORD,
            "mupdate_retry_delay": "2",  # seconds, made a little longer by chance
            "proxy_authname": _PROXY,
            "proxy_realm": REALM,
            "proxy_password": _PROXY_PASSWORD,
            "sasl_mech_list": "PLAIN",
        }
        passwords = {ADMIN: ADMIN_PASSWORD, _PROXY: _PROXY_PASSWORD}
        super().__init__(
            imapd_conf=everyone | dict(options),
            users={**users, **passwords},
            host=address,
            servername=address,
            base=base,
        )
        self._network = network
        self.imap_port, self.lmtp_port, self.sieve_port = IMAP, LMTP, SIEVE

    def _command(self) -> Sequence[str | Path]:
        prepare = 'mount --bind "$1" /etc/services && shift && exec "$@"'
        contained = ["unshare", "--mount", "sh", "-c", prepare, "sh"]
        return [*contained, self._network.services, *super()._command()]

    def _realms(self) -> tuple[str, ...]:
        return self.servername, REALM

    def _daemons(self) -> dict[str, tuple[str, str]]:
        services = super()._daemons()
        del services["pop3"]
        return services

    def move(self, mailbox: str, server: str) -> None:
        """XFER: a mailbox, or a user with all folders, to another backend. It is done when this returns."""
        with self.admin_session() as imap:
            status, said = imap.xatom("XFER", imapwords.quote(mailbox), server)
            assert (status, imap.response("NO")[1]) == ("OK", [None]), said


class Master(Member):
    """The MUPDATE master: it serves MUPDATE and nothing else."""

    preforked = ("mupdate",)

    def _daemons(self) -> dict[str, tuple[str, str]]:
        return {"mupdate": ("mupdate -m", f"{self.host}:{MUPDATE}")}

    def _is_up(self) -> bool:
        return greets(MUPDATE, b"* ", self.host)


class Backend(Member):
    """A backend: it has mailboxes. Its lmtpd takes mail of frontends only."""

    def _at_start(self) -> dict[str, str]:
        return {**super()._at_start(), "reconcile": "ctl_mboxlist -m"}

    def _daemons(self) -> dict[str, tuple[str, str]]:
        return {**super()._daemons(), "lmtp": ("lmtpd", f"{self.host}:{LMTP}")}


class Frontend(Member):
    """A frontend: it has no mailbox, a copy of the master's list, and proxies to backends."""

    preforked = ("imap", "lmtp", "mupdate")

    def _daemons(self) -> dict[str, tuple[str, str]]:
        return {**super()._daemons(), "mupdate": ("mupdate", f"{self.host}:{MUPDATE}")}

    def knows(self, mailbox: str) -> bool:
        """Does its own copy of the master's list have the mailbox? As the administrator names it."""
        return mailbox in self.mailboxes(mailbox)


class Murder(Life):
    """A master, two backends and two frontends, of which every frontend is in step with the master at first.

    `network` is the way from the frontends to the master.

    Args:
        users: who may log in, by password.
        imapd_conf: further options, for every member.
    """

    def __init__(
        self,
        users: Mapping[str, str] | None = None,
        imapd_conf: Mapping[str, str] | None = None,
        base: Path | None = None,
    ) -> None:
        super().__init__()
        self._users = dict(users or {})
        self._options = dict(imapd_conf or {})
        self._base = base
        self.folder = Path()
        self.members: list[Member] = []
        self.network: Relay
        self._probes = 0

    def _enter(self, undo: contextlib.ExitStack) -> None:
        self.folder = undo.enter_context(fresh_folder("murder", self._base))
        network = _Network(undo.enter_context(_prefix()), _services(self.folder))
        options = dict(self._options)

        def made(kind: type[Member], number: int, own: Mapping[str, str]) -> Member:
            member = kind(network, number, {**options, **own}, self._users, self._base)
            return undo.enter_context(member)

        self.members = []
        backend = {
            # A move between backends (XFER) uses Cyrus's replication, which is for administrators.
            "admins": f"{Member.admin} {ADMIN} {_PROXY}",
            "proxyservers": _PROXY,
            "lmtp_admins": _PROXY,
            "allowallsubscribe": "yes",
            "allowusermoves": "yes",
        }
        between = Relay(MUPDATE, network.address(9), MUPDATE, server_host=network.master)
        self.network = undo.enter_context(between)
        frontend = {
            "mupdate_server": self.network.host,
            "serverlist": f"{network.address(2)} {network.address(3)}",
            "serverlist_select_mode": "random",  # docs/mailbox-ids.md
            "sieve_allowreferrals": "no",
            # Users of sasldb, and those whom the program lets in if it listens there.
            "sasl_pwcheck_method": "auxprop saslauthd",
            "sasl_saslauthd_path": str(self.login_socket),
        }
        self.members.append(made(Master, 1, {}))
        self.members += [made(Backend, number, backend) for number in (2, 3)]
        self.members += [made(Frontend, number, frontend) for number in (4, 5)]
        self.wait_until_in_step()

    @property
    def login_socket(self) -> Path:
        """Where the frontends ask saslauthd."""
        return self.folder / "mux"

    @property
    def master(self) -> Member:
        return self.members[0]

    @property
    def backends(self) -> list[Member]:
        return self.members[1:3]

    @property
    def frontends(self) -> list[Frontend]:
        return [member for member in self.members if isinstance(member, Frontend)]

    def backend(self, name: str) -> Member:
        """By server name."""
        return next(it for it in self.backends if it.host == name)

    def section(self, **more: Any) -> dict[str, Any]:
        """[cyrus.murder] for it; `more` is laid over that."""
        return {
            "mupdate": self.master.host,
            "tls": "none",
            "admin": ADMIN,
            "password_file": secret_file(self.folder, ADMIN_PASSWORD),
            "backends": {it.host: it.host for it in self.backends},
            **more,
        }

    def home(self, user: str) -> list[str]:
        """The backends that have the user's INBOX themselves: one, if all is well."""
        mailbox = f"user/{user}"
        return [it.host for it in self.backends if mailbox in it.mailboxes(mailbox)]

    def owner(self, user: str) -> Member:
        """The one backend that has the user's INBOX."""
        (name,) = self.home(user)
        return self.backend(name)

    def wait_until_in_step(self, timeout: float = 60.0) -> None:
        """Every frontend has the master's list: a mailbox that is made at a backend is known to it."""
        self._probes += 1
        probe = f"inStep{self._probes}"
        self.backends[0].create(probe)
        try:
            for frontend in self.frontends:

                def knows(frontend: Frontend = frontend) -> bool:
                    return frontend.knows(probe)

                wait_until(knows, timeout, f"{frontend.host} in step", self.log, pause=0.1)
        finally:
            self.backends[0].delete(probe)

    def log(self) -> str:
        """What all of them said."""
        return "\n".join(member.log() for member in self.members)


_SERVICES = "mupdate 3905/tcp\nlmtp 24/tcp\n"


def _services(folder: Path) -> Path:
    services = folder / "services"
    services.write_text(Path("/etc/services").read_text() + _SERVICES)
    services.chmod(0o644)
    return services


@contextlib.contextmanager
def _prefix() -> Iterator[str]:
    """The first three numbers of addresses that no other test uses meanwhile."""
    while True:
        prefix = f"127.{random.randrange(10, 250)}.{random.randrange(256)}"
        with socket.socket() as claim:
            try:
                claim.bind((f"{prefix}.254", MUPDATE))
            except OSError:
                continue
            yield prefix
            return
