"""The ways to a user's script, each as a mail store of which only the contract is used."""

from __future__ import annotations

import contextlib
import smtplib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from autocreate.mailstore import MailStore, ScriptStore
from autocreate.mailstore.cyrus import Cyrus as CyrusStore
from autocreate.mailstore.memory import Memory
from autocreate.mailstore.server import Server
from autocreate.mailstore.sieve.files import SieveFiles
from autocreate.mailstore.sieve.managesieve import ManageSieve
from autocreate.tree.actions import CreateMailbox, InstallScript
from autocreate.tree.base import Action
from autocreate.tree.plan import ApplyResult, Plan
from autocreate.tree.values import Script
from tests.servers.cyrus import Cyrus
from tests.servers.cyrusversion import version
from tests.servers.sieve import kept

FILING = b"""require ["fileinto"];\r
# raw bytes: \xc3\xa4, a bare line feed here\n# and no line end behind the last brace\r
if header :contains "subject" "lists" {\r
    fileinto "INBOX%sLists";\r
}"""
WRONG = b'require ["fileinto"];\nkeep;\nfrobnicate "x";\n'
# The compiler's words, of which 3.2 has more.
WRONG_AT = "line 3: syntax error" + (", unexpected $undefined" if version() < (3, 6) else "")
OWN = b"# the user's own\r\nkeep;\r\n"


@dataclass
class Site:
    """One mail store, and what a test must know to look at it from outside."""

    store: MailStore
    separator: str = "/"
    cyrus: Cyrus | None = None

    def script(self, name: str = "default.sieve") -> Script:
        return Script(name, FILING % self.separator.encode())

    def install(self, user: str, *scripts: Script) -> ApplyResult:
        """INBOX, a subfolder and scripts, as the plan for a new user has them."""
        folders: list[Action] = [CreateMailbox(()), CreateMailbox(("Lists",))]
        actions = (*folders, *map(InstallScript, scripts))
        return self.store.apply(Plan(user, "all", actions))

    def scripts(self, user: str) -> Mapping[str, tuple[bytes, bool]]:
        """(text, is it active) by name."""
        if self.cyrus:
            return self.cyrus.scripts(user)
        assert isinstance(self.store, Memory)
        script = self.store.trees[user].script
        return {script.name: (kept(script.text), True)} if script else {}

    def active_before(self, user: str, name: str) -> None:
        """The user has INBOX, and an active script of that name."""
        self.install(user)
        if self.cyrus:
            with self.cyrus.sieve_session(user) as session:
                session.put(name, OWN)
        else:
            self.install(user, Script(name, OWN))


def server_of(cyrus: Cyrus, port: int = 0, password: str = "", timeout: float = 5.0) -> Server:
    return Server(
        cyrus.host,
        port or cyrus.imap_port,
        "starttls" if cyrus.ca_file else "none",
        cyrus.admin,
        password or cyrus.admin_password,
        str(cyrus.ca_file) if cyrus.ca_file else None,
        timeout,
    )


def managesieve(cyrus: Cyrus) -> ScriptStore:
    return ManageSieve(server_of(cyrus, cyrus.sieve_port))


def files(cyrus: Cyrus) -> ScriptStore:
    return SieveFiles(str(cyrus.imapd_conf_file), str(cyrus.folder / "sieve"), 10.0)


@contextlib.contextmanager
def store_of(cyrus: Cyrus, scripts: ScriptStore, replication: bool = False) -> Iterator[CyrusStore]:
    """A store that keeps users' scripts there, or by Cyrus's replication commands where those can."""
    with contextlib.closing(
        CyrusStore(server_of(cyrus), 2, scripts, replication=replication)
    ) as store:
        yield store


@contextlib.contextmanager
def _on(
    cyrus: Cyrus,
    way: Callable[[Cyrus], ScriptStore],
    separator: str = "/",
    replication: bool = False,
) -> Iterator[Site]:
    with store_of(cyrus, way(cyrus), replication) as store:
        yield Site(store, separator, cyrus)


@contextlib.contextmanager
def _memory() -> Iterator[Site]:
    store = Memory()
    store.wrong_scripts[WRONG] = WRONG_AT
    yield Site(store)


# Each is given the two servers: one with `/` and no virtual domains, one with dots and them.
SITES: Mapping[str, Callable[[Cyrus, Cyrus], AbstractContextManager[Site]]] = {
    "managesieve": lambda slash, _dots: _on(slash, managesieve),
    "managesieve-dots": lambda _slash, dots: _on(dots, managesieve, "."),
    "replication": lambda slash, _dots: _on(slash, managesieve, replication=True),
    "replication-dots": lambda _slash, dots: _on(dots, managesieve, ".", replication=True),
    "files": lambda slash, _dots: _on(slash, files),
    "files-dots": lambda _slash, dots: _on(dots, files, "."),
    "files-beside-replication": lambda slash, _dots: _on(slash, files, replication=True),
    "memory": lambda _slash, _dots: _memory(),
}


def deliver(cyrus: Cyrus, user: str, subject: str) -> None:
    with smtplib.LMTP(cyrus.host, cyrus.lmtp_port) as lmtp:
        lmtp.sendmail("ann@client.test", [user], f"Subject: {subject}\r\n\r\nhi\r\n")
