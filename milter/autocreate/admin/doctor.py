"""`autocreate doctor`: looks at the MTA, at Cyrus and at us, and says what would bite.

What is read is judged in `autocreate.core`; here it is only fetched. Nothing is changed, and no name
is looked up in the DNS.
"""

import contextlib
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocreate.core import cyruscheck, postfixcheck, sendmailcheck
from autocreate.core.findings import Finding, Ours, critical, warning
from autocreate.core.imapd import ImapdConf
from autocreate.core.naming import Users
from autocreate.errors import AutocreateError
from autocreate.mailstore.imap import Server, Session

_PATIENCE = 20.0  # seconds for a program that only reads files
_DAYS_BEFORE_EXPIRY = 14


@dataclass(frozen=True, slots=True)
class Mtas:
    """Where the configurations of MTAs are. What is not there is not looked at."""

    postfix: Path
    sendmail: Path


def examine(
    ours: Ours,
    server: Server,
    imapd: ImapdConf | None,
    users: Users,
    mtas: Mtas,
    clock: Callable[[], float] = time.time,
) -> list[Finding]:
    """Everything that would bite, the MTA first.

    Args:
        ours: our side of the connection to the MTA.
        server: Cyrus, and how we log in to it.
        imapd: Cyrus's imapd.conf, if we were told of it.
        users: how addresses become user ids by our configuration.
        clock: the time in seconds since the epoch.
    """
    return [
        *_mta(ours, mtas),
        *_socket(ours.socket),
        *_cyrus(server, clock),
        *(cyruscheck.examine(imapd, server.admin, users) if imapd else ()),
    ]


def _mta(ours: Ours, mtas: Mtas) -> Iterator[Finding]:
    has_postfix = (mtas.postfix / "main.cf").exists()
    has_sendmail = mtas.sendmail.exists()
    if has_postfix:
        try:
            postfix = read_postfix(mtas.postfix)
        except (OSError, subprocess.SubprocessError) as error:
            yield critical(
                f"postconf does not read {mtas.postfix}: {_said(error)}",
                "Postfix's configuration was not looked at",
                f"try: postconf -c {mtas.postfix} -n",
            )
        else:
            yield from postfixcheck.examine(postfix, ours)
    if has_sendmail:
        try:
            text = mtas.sendmail.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            yield critical(
                f"{mtas.sendmail} cannot be read: {error.strerror}",
                "Sendmail's configuration was not looked at",
                "run this as root",
            )
        else:
            yield from sendmailcheck.examine(text, str(mtas.sendmail), ours)
    if not has_postfix and not has_sendmail:
        yield warning(
            f"neither {mtas.postfix}/main.cf nor {mtas.sendmail} is there",
            "no MTA's configuration was looked at",
            "say where it is: --postfix FOLDER or --sendmail FILE",
        )


def read_postfix(folder: Path) -> postfixcheck.Postfix:
    """A Postfix's configuration.

    Args:
        folder: where its main.cf is.

    Raises:
        OSError, subprocess.SubprocessError: postconf(1) is missing, or cannot read it.
    """

    def postconf(flag: str) -> str:
        program = shutil.which("postconf") or "/usr/sbin/postconf"
        done = subprocess.run(
            [program, "-c", str(folder), flag],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=True,
        )
        return done.stdout

    return postfixcheck.Postfix(
        postfixcheck.read_parameters(postconf("-x")),
        postfixcheck.read_services(postconf("-M")),
        postfixcheck.read_overrides(postconf("-P")),
    )


def _socket(place: str) -> Iterator[Finding]:
    kind, _, where = place.partition(":")
    if kind == "fd":
        return
    host, _, port = where.rpartition(":")
    family = (
        socket.AF_UNIX if kind == "unix" else socket.AF_INET6 if ":" in host else socket.AF_INET
    )
    address: Any = where if kind == "unix" else (host.strip("[]"), int(port))
    with contextlib.closing(socket.socket(family)) as client:
        client.settimeout(_PATIENCE)
        try:
            client.connect(address)
        except OSError as error:
            yield critical(
                f"nobody listens at milter.socket ({place}): {error.strerror or error}",
                "the MTA puts everybody off until our milter runs",
                "systemctl start autocreate-milter, and look at its log",
            )


def _cyrus(server: Server, clock: Callable[[], float]) -> Iterator[Finding]:
    try:
        session = Session(server)
    except AutocreateError as error:
        yield critical(
            str(error),
            "no mailbox can be looked for or created, and mail is put off",
            "mend that; the keys are in [cyrus]",
        )
        return
    with contextlib.closing(session):
        certificate = session.certificate()
    if certificate:
        expires = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
        days = (expires - clock()) / 86400
        if days < _DAYS_BEFORE_EXPIRY:
            yield warning(
                f"the certificate of {server} expires in {days:.0f} days",
                "from then on we trust the server no longer, and mail is put off",
                "renew it on the server",
            )


def _said(error: Exception) -> str:
    words = getattr(error, "stderr", None)
    return (words or str(error)).strip()
