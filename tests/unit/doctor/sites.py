"""A site for doctor without any server: everything answers well until a test changes one thing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from autocreate.core.naming import Users
from autocreate.doctor.cyrus import Expected
from autocreate.doctor.site import (
    CyrusPaths,
    CyrusTarget,
    LoginSockets,
    MtaPaths,
    Recipients,
    Site,
    Tools,
)
from autocreate.errors import Temporary
from autocreate.imapdconf import parser as imapd_parser
from autocreate.imapdconf import settings as imapd_settings
from autocreate.imapdconf.settings import CyrusFiles
from autocreate.mailstore.server import Server
from autocreate.model import Account
from tests.unit.doctor.examples import GOOD, OURS

SERVER = Server("imap.test", 143, "starttls", "cyrus", "secret")

# A systemd socket, which cannot be tried; so that no test connects to anything by accident.
MILTER = replace(OURS, socket="fd:3")


def site(folder: Path, **changes: Any) -> Site:
    """A site in a folder, with a good autocreate.toml and no MTA."""
    config_file = folder / "autocreate.toml"
    config_file.touch(0o640)
    config_file.chmod(0o640)
    values: dict[str, Any] = {
        "config_file": config_file,
        "files": (),
        "journal_url": f"sqlite:///{folder}/journal.db",
        "journal_password_file": None,
        "control_sockets": (),
        "milter": MILTER,
        "login": LoginSockets(),
        "lmtp": None,
        "cyrus": CyrusTarget(SERVER, None, Expected("cyrus", Users())),
        "mtas": MtaPaths(folder / "postfix", folder / "sendmail.cf"),
        "cyrus_paths": CyrusPaths(),
    }
    return Site(**{**values, **changes})


def tools(**changes: Any) -> Tools:
    """Tools that find nothing wrong."""
    values: dict[str, Any] = {
        "ask_process": nothing_runs,
        "read_cyrus": lambda path, _cyrus_conf: imapd_conf(path, "admins: cyrus\n"),
        "impossible_folders": lambda _conf: (),
        "recipients": lambda: recipients({}, set()),
        "accounts": {"accounts.staff": Staff},
        "domains": {},
        "aliases": {},
        "run": Postconf(),
        "clock": lambda: 0.0,
    }
    return Tools(**{**values, **changes})


class Staff:
    """An account source that lists its one user and finds her."""

    name = "staff"
    has_groups = False

    def lookup(self, user: str) -> Account | None:
        return Account("ann", "staff") if user == "ann" else None

    def groups(self, account: Account) -> frozenset[str]:
        return frozenset()

    def names(self) -> Iterator[str] | None:
        return iter(["ann"])

    def close(self) -> None:
        pass


def nothing_runs(path: Path) -> dict[str, Any]:
    raise Temporary(f"no process listens at {path}")


def imapd_conf(path: str, text: str) -> CyrusFiles:
    options = imapd_parser.read(path, text, lambda _path: "")
    return CyrusFiles(imapd_settings.interpret(path, options), options)


@contextlib.contextmanager
def recipients(aliases: dict[str, list[str]], mailboxes: set[str]) -> Iterator[Recipients]:
    """Recipients by a dictionary: the users of each address."""
    yield Recipients(lambda address: aliases[address], mailboxes.__contains__)


class Postconf:
    """Runs no program: answers as postconf(1) of a good Postfix, and as postmap(1).

    Args:
        maps: what postmap lists of each map.
        parameters: main.cf, where it is not as in `GOOD`.
    """

    def __init__(self, maps: dict[str, str] | None = None, **parameters: str) -> None:
        self.commands: list[tuple[str, ...]] = []
        self._maps = maps or {}
        # By TCP, which is not tried.
        transport = {"virtual_transport": "lmtp:inet:127.0.0.1:24"}
        self._parameters = {**GOOD, **transport, **parameters}

    def __call__(self, program: str, *arguments: str) -> str:
        self.commands.append((program, *arguments))
        match program, arguments[-1]:
            case "postconf", "-x":
                return "".join(f"{name} = {value}\n" for name, value in self._parameters.items())
            case "postconf", "-M":
                return (
                    "smtp    inet  n - n - - smtpd\n"
                    "cleanup unix  n - n - 0 cleanup\n"
                    "lmtp    unix  - - n - - lmtp\n"
                )
            case "postconf", "-Px":
                return ""
            case "postmap", name if name in self._maps:
                return self._maps[name]
        raise OSError(f"{program} {' '.join(arguments)}: unsupported")
