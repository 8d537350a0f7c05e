"""`autocreate doctor`: looks at the MTA, at Cyrus and at us, and says what would bite.

What is read is judged in `autocreate.core`; here it is only fetched. Nothing is changed, and no name
but those of our own file's servers is looked up in the DNS.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from autocreate.doctor import cyrus as cyrus_rules
from autocreate.doctor import lmtp as lmtp_rules
from autocreate.doctor import postconf as postconf_rules
from autocreate.doctor import postfix as postfix_rules
from autocreate.doctor import postfix_unseen, probe_copies, probe_cyrus, probe_sockets
from autocreate.doctor import sendmail as sendmail_rules
from autocreate.doctor.cyrus import Expected
from autocreate.doctor.findings import Finding, MilterSettings, critical, warning
from autocreate.doctor.permissions import UnixUser
from autocreate.doctor.postconf import Postfix
from autocreate.doctor.postfix import Delivery
from autocreate.doctor.probe_sockets import Endpoint
from autocreate.imapdconf.parser import Options
from autocreate.imapdconf.settings import CyrusFiles
from autocreate.mailstore.server import Server

_TIMEOUT = 20.0  # seconds for a program that only reads files


@dataclass(frozen=True, slots=True)
class MtaPaths:
    """Where the configurations of MTAs are. What is not there is not looked at."""

    postfix: Path
    sendmail: Path


@dataclass(frozen=True, slots=True)
class CyrusTarget:
    """Cyrus, as we know it.

    Args:
        server: where it is, and how we log in to it.
        sieve: its ManageSieve, if users are to get scripts by it.
        files: its configuration, if it can be read here.
        expected: what that has to fit.
        others: the options of each other imapd.conf that a service of its reads, by its path.
    """

    server: Server
    sieve: Server | None
    files: CyrusFiles | None
    expected: Expected
    others: Mapping[str, Options] = field(default_factory=dict)


def examine(
    ours: MilterSettings,
    doors: Sequence[Endpoint],
    cyrus: CyrusTarget,
    mtas: MtaPaths,
    clock: Callable[[], float] = time.time,
    without_mailbox: Callable[[str], Sequence[str]] = lambda _address: (),
) -> list[Finding]:
    """Everything that would bite, the MTA first.

    Args:
        ours: our side of the connection to the MTA.
        doors: our sockets, the milter's first, without the MTA among its callers.
        clock: the time in seconds since the epoch.
        without_mailbox: tells the users without a mailbox to whom an address of ours leads.
    """
    callers, findings = _mta(ours, mtas, without_mailbox)
    milter, *others = doors
    for door in (replace(milter, callers=(*milter.callers, *callers)), *others):
        findings += probe_sockets.examine(door)
    findings += probe_cyrus.examine(cyrus.server, cyrus.sieve, clock)
    if cyrus.files:
        findings += cyrus_rules.examine(cyrus.files, cyrus.expected, cyrus.others)
    return findings


def _mta(
    ours: MilterSettings, mtas: MtaPaths, without_mailbox: Callable[[str], Sequence[str]]
) -> tuple[list[UnixUser], list[Finding]]:
    """The users that MTAs of this machine connect as, and what was found about them."""
    callers: list[UnixUser] = []
    findings: list[Finding] = []
    has_postfix = (mtas.postfix / "main.cf").exists()
    if has_postfix:
        callers, findings = _postfix(mtas.postfix, ours, without_mailbox)
    if mtas.sendmail.exists():
        findings += _sendmail(mtas.sendmail, ours)
    elif not has_postfix:
        findings.append(
            warning(
                f"neither {mtas.postfix}/main.cf nor {mtas.sendmail} is there",
                "no MTA's configuration was looked at",
                "say where it is: --postfix FOLDER or --sendmail FILE",
            )
        )
    return callers, findings


def _postfix(
    folder: Path, ours: MilterSettings, without_mailbox: Callable[[str], Sequence[str]]
) -> tuple[list[UnixUser], list[Finding]]:
    try:
        postfix = read_postfix(folder)
    except (OSError, subprocess.SubprocessError) as error:
        unread = critical(
            f"postconf does not read {folder}: {_said(error)}",
            "Postfix's configuration was not looked at",
            f"try: postconf -c {folder} -n",
        )
        return [], [unread]
    owner = probe_sockets.person(postfix.get("mail_owner"))
    callers = [owner] if owner else []
    findings = [
        *postfix_rules.examine(postfix, ours),
        *postfix_unseen.examine(postfix, ours),
        *lmtp_rules.examine_postfix(postfix, ours),
    ]
    findings += probe_copies.examine(postfix, folder, ours, without_mailbox)
    for delivery in postfix_rules.deliveries(postfix, ours):
        findings += _delivery(delivery, callers)
    return callers, findings


def _delivery(delivery: Delivery, callers: Sequence[UnixUser]) -> Iterator[Finding]:
    """Can Postfix hand mail over to Cyrus there?"""
    matters = "mail that was accepted is not delivered: it waits in Postfix's queue"
    service, where = delivery.service, f"main.cf: {delivery.parameter}"
    if delivery.place != delivery.path and _is_missing(delivery.place):
        yield critical(
            f"{where}: Postfix's {service.name} runs chrooted and looks for {delivery.path} at "
            f"{delivery.place}, where nothing is",
            matters,
            f"postconf -F {service.name}/{service.kind}/chroot=n && postfix reload; or cyrus.conf: an "
            "lmtpd that listens there",
        )
        return
    door = Endpoint(
        where,
        f"unix:{delivery.place}",
        tuple(callers),
        matters,
        remedy="make that user a member of its group (on Debian: adduser postfix mail), and restart Postfix",
        unit="cyrus-imapd",
    )
    yield from probe_sockets.examine(door)


def _is_missing(path: str) -> bool:
    try:
        os.stat(path)
    except OSError as error:
        # Of any other reason whoever knocks there hears.
        return isinstance(error, FileNotFoundError)
    return False


def _sendmail(path: Path, ours: MilterSettings) -> list[Finding]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return [
            critical(
                f"{path} cannot be read: {error.strerror}",
                "Sendmail's configuration was not looked at",
                "run this as root",
            )
        ]
    found = sendmail_rules.examine(text, str(path), ours)
    found += lmtp_rules.examine_sendmail(text, str(path), ours)
    with contextlib.suppress(OSError):  # whoever knocks at the socket says that it is not there
        if ours.socket.startswith("unix:"):
            way = probe_sockets.way_to(Path(ours.socket.removeprefix("unix:")))
            found += sendmail_rules.examine_way(way, ours)
    return found


def read_postfix(folder: Path) -> Postfix:
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
            timeout=_TIMEOUT,
            check=True,
        )
        return done.stdout

    parameters = postconf_rules.read_parameters(postconf("-x"))
    if (origin := parameters.get("myorigin", "")).startswith("/"):  # Debian's /etc/mailname
        with contextlib.suppress(OSError):
            words = Path(origin).read_text("utf-8", "replace").split()
            parameters["myorigin"] = words[0] if words else ""
    return Postfix(
        parameters,
        postconf_rules.read_services(postconf("-M"), parameters.get("compatibility_level", "")),
        postconf_rules.read_overrides(postconf("-Px")),
    )


def _said(error: Exception) -> str:
    words = getattr(error, "stderr", None)
    return (words or str(error)).strip()
