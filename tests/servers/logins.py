"""A site whose passwords saslauthd knows, with the program between it and Cyrus; and its clients."""

from __future__ import annotations

import base64
import contextlib
import imaplib
import poplib
import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .common import fresh_folder
from .cyrus import Cyrus
from .life import Life
from .product import POLICY, Product
from .saslauthd import Pam, Saslauthd

PROXY = "proxy"
PASSWORD = "open sesame"


class LoginRefused(AssertionError):
    """The server said no; the text is its own."""


class Site(Life):
    """PAM, saslauthd, Cyrus and the program, which runs as `command` says; nothing of it is started by hand.

    Args:
        users: who can log in, with PASSWORD; the Cyrus administrator and PROXY can besides.
        login: laid over [login].
        settings: laid over the rest of the configuration.
        imapd_conf: laid over Cyrus's.
        is_direct: Cyrus asks saslauthd itself.
        start: False leaves the program to the test.
    """

    def __init__(
        self,
        users: Iterable[str] = (),
        *,
        command: str = "login",
        login: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        policies: Iterable[Mapping[str, Any]] = (POLICY,),
        imapd_conf: Mapping[str, str] | None = None,
        cyrus_users: Mapping[str, str] | None = None,
        is_direct: bool = False,
        start: bool = True,
    ) -> None:
        super().__init__()
        self._users = tuple(users)
        self._command = command
        self._login = dict(login or {})
        self._settings = dict(settings or {})
        self._policies = list(policies)
        self._imapd_conf = dict(imapd_conf or {})
        self._cyrus_users = dict(cyrus_users or {})
        self._is_direct = is_direct
        self._start = start
        self.folder = Path()
        self.pam: Pam
        self.saslauthd: Saslauthd
        self.cyrus: Cyrus
        self.product: Product

    def _enter(self, undo: contextlib.ExitStack) -> None:
        self.folder = undo.enter_context(fresh_folder("site"))
        passwords = dict.fromkeys((*self._users, PROXY), PASSWORD)
        self.pam = undo.enter_context(Pam({**passwords, Cyrus.admin: Cyrus.admin_password}))
        self.saslauthd = undo.enter_context(Saslauthd(self.pam))
        self.cyrus = undo.enter_context(
            Cyrus(
                imapd_conf={
                    "sasl_pwcheck_method": "saslauthd",
                    "sasl_saslauthd_path": str(
                        self.saslauthd.socket if self._is_direct else self.socket
                    ),
                    "proxyservers": PROXY,
                    "event_notifier": "external",
                    "event_groups": "access mailbox",
                    "notifysocket": str(self.notify_socket),
                    **self._imapd_conf,
                },
                users=self._cyrus_users,
            )
        )
        self.product = undo.enter_context(
            Product(
                self.cyrus,
                settings=self.settings(),
                policies=self._policies,
                command=self._command,
                contained=self.pam.contained,
            )
        )
        if self._start:
            self.product.start()

    @property
    def socket(self) -> Path:
        return self.folder / "mux"

    @property
    def notify_socket(self) -> Path:
        return self.folder / "notify"

    def restart(self, *, cyrus: Mapping[str, Any] | None = None, **login: Any) -> None:
        """Starts the program, or starts it anew, with these laid over its settings."""
        self.product.stop()
        settings = self.settings(**login)
        settings["cyrus"] |= cyrus or {}
        self.product.configure(settings)
        self.product.start()

    def settings(self, **login: Any) -> dict[str, Any]:
        """The settings of the product, with these laid over [login]."""
        settings = {section: dict(values) for section, values in self._settings.items()}
        settings["cyrus"] = {"admins": [PROXY], **settings.get("cyrus", {})}
        settings["login"] = {
            "socket": f"unix:{self.socket}",
            "socket_mode": "0660",
            "socket_group": "mail",  # that Cyrus runs in
            "upstream": {
                "type": "saslauthd",
                "path": str(self.saslauthd.socket),
                "timeout": 60.0,  # a machine that is busy with other tests
            },
            "notify_socket": f"unix:{self.notify_socket}",
            **self._login,
            **login,
        }
        return {
            **settings,
            "login": {key: it for key, it in settings["login"].items() if it is not None},
        }

    # -- its clients -------------------------------------------------------------------------

    def imap(self, user: str, password: str = PASSWORD, authorize: str = "") -> imaplib.IMAP4:
        """A session, by AUTHENTICATE PLAIN."""
        client = imaplib.IMAP4(self.cyrus.host, self.cyrus.imap_port, 60.0)
        try:
            client.authenticate(
                "PLAIN", lambda _challenge: f"{authorize}\0{user}\0{password}".encode()
            )
        except imaplib.IMAP4.error as error:
            client.shutdown()
            raise LoginRefused(str(error)) from error
        return client

    def imap_folders(self, user: str, **how: str) -> set[str]:
        """The user's own folders, as a new session's very first command lists them."""
        client = self.imap(user, **how)
        try:
            _status, listed = client.list('""', '"INBOX*"')
            return {
                found[1]
                for line in listed
                if (found := re.search(r'"(?:/|\.)" (.*)$', _text(line)))
            }
        finally:
            client.logout()

    def pop3(self, user: str, password: str = PASSWORD) -> None:
        client = poplib.POP3(self.cyrus.host, self.cyrus.pop3_port, 60.0)
        try:
            client.user(user)
            client.pass_(password)
        except poplib.error_proto as error:
            raise LoginRefused(str(error)) from error
        finally:
            with contextlib.suppress(OSError, poplib.error_proto):
                client.quit()

    def sieve(self, user: str, password: str = PASSWORD, script: str = "") -> str:
        """Logs in to ManageSieve, leaves a script if there is one, and lists the scripts."""
        with (
            socket.create_connection((self.cyrus.host, self.cyrus.sieve_port), 60.0) as connection,
            connection.makefile("rwb") as wire,
        ):
            _sieve_answer(wire)
            words = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
            wire.write(f'AUTHENTICATE "PLAIN" "{words}"\r\n'.encode())
            _sieve_answer(wire)
            if script:
                wire.write(f'PUTSCRIPT "mine" {{{len(script)}+}}\r\n{script}\r\n'.encode())
                _sieve_answer(wire)
            wire.write(b"LISTSCRIPTS\r\n")
            return _sieve_answer(wire)


def _sieve_answer(wire: Any) -> str:
    wire.flush()
    said = ""
    while True:
        line = str(wire.readline(), "utf-8", "replace")
        said += line
        if line.startswith("OK"):
            return said
        if not line or line.startswith(("NO", "BYE")):
            raise LoginRefused(said)


def _text(line: Any) -> str:
    return line.decode("ascii") if isinstance(line, bytes) else str(line)
