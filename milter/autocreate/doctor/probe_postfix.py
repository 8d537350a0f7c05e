"""Reads Postfix's configuration with postconf(1), and tries the sockets that Postfix delivers to."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from autocreate.backends.regular_file import read_text
from autocreate.doctor import postconf, postfix_routes, probe_copies, probe_sockets
from autocreate.doctor import postfix as postfix_rules
from autocreate.doctor.endpoints import UNDELIVERED, delivery_endpoint
from autocreate.doctor.findings import Finding, critical, warning
from autocreate.doctor.permissions import UnixUser
from autocreate.doctor.postconf import Postfix
from autocreate.doctor.postfix_domains import Tables
from autocreate.doctor.postfix_transport import Delivery, deliveries
from autocreate.doctor.probe_users import unix_users
from autocreate.doctor.programs import Runner, reason, run
from autocreate.doctor.site import Site, Tools


def read(folder: Path, runner: Runner) -> Postfix | Finding:
    """A Postfix's configuration, or why postconf(1) cannot tell it."""
    try:
        return read_postfix(folder, runner)
    except (OSError, subprocess.SubprocessError) as error:
        return critical(
            f"postconf cannot read {folder}: {reason(error)}",
            "Postfix's configuration was not checked",
            f"run: postconf -c {folder} -n",
        )


def callers(postfix: Postfix | Finding | None) -> tuple[UnixUser, ...]:
    """The users that Postfix connects to sockets as."""
    return unix_users([postfix.get("mail_owner")]) if isinstance(postfix, Postfix) else ()


def examine(postfix: Postfix | Finding, site: Site, tools: Tools) -> list[Finding]:
    """What was found.

    Args:
        postfix: what `read` returned.
    """
    if isinstance(postfix, Finding):
        return [postfix]
    folder, ours = site.mtas.postfix, site.milter
    reader = _Tables(folder, tools.run)
    tables = Tables(reader.find, reader.read)
    routes = postfix_routes.routes(postfix, ours, tables)
    judged = postfix_rules.examine(postfix, ours, routes, tables)
    findings = [*reader.findings.values(), *judged]
    findings += probe_copies.examine(postfix, folder, ours, tools)
    users = callers(postfix)
    for delivery in deliveries(postfix, routes):
        findings += _delivery(delivery, users)
    return findings


def read_postfix(folder: Path, runner: Runner = run) -> Postfix:
    """A Postfix's configuration.

    Args:
        folder: where its main.cf is.

    Raises:
        OSError, subprocess.SubprocessError: postconf(1) is missing, or cannot read it.
    """

    def output(flag: str) -> str:
        return runner("postconf", "-c", str(folder), flag)

    parameters = postconf.read_parameters(output("-x"))
    if (origin := parameters.get("myorigin", "")).startswith("/"):  # Debian's /etc/mailname
        with contextlib.suppress(OSError):
            words = read_text(origin).split()
            parameters["myorigin"] = words[0] if words else ""
    lines: dict[str, int] = {}
    with contextlib.suppress(OSError):  # it is not needed to judge
        lines = postconf.read_lines(read_text(str(folder / "main.cf")))
    return Postfix(
        parameters,
        postconf.read_services(output("-M"), parameters.get("compatibility_level", "")),
        postconf.read_overrides(output("-Px")),
        lines,
    )


class _Tables:
    """What the lists of main.cf refer to.

    A table that cannot be looked into is a finding. It counts as one that has each domain and no transport
    of its own, so that there are no more findings for the same cause.
    """

    def __init__(self, folder: Path, run: Runner) -> None:
        self.findings: dict[str, Finding] = {}
        self._folder = folder
        self._run = run

    def find(self, table: str, key: str) -> str | None:
        """The value of a key in a table, asked as Postfix asks it, but not by proxymap(8)."""
        if table in self.findings:
            return ""
        name = table.removeprefix("proxy:")
        try:
            return self._run("postmap", "-c", str(self._folder), "-q", key, name).strip()
        except (OSError, subprocess.SubprocessError) as error:
            if isinstance(error, subprocess.CalledProcessError) and not error.stderr:
                return None  # how postmap says that the table does not have the key
            self._cannot_tell(table, reason(error))
        return ""

    def read(self, path: str) -> str:
        """The text of a file of items."""
        try:
            return read_text(path)
        except OSError as error:
            self._cannot_tell(path, reason(error))
            return ""

    def _cannot_tell(self, source: str, why: str) -> None:
        self.findings[source] = warning(
            f"Postfix's {source} cannot be looked into: {why}",
            "how Postfix delivers mail in the domains of this table was not checked",
            f"run: postmap -q example.org {source}",
        )


def _delivery(delivery: Delivery, users: tuple[UnixUser, ...]) -> Iterator[Finding]:
    """Can Postfix deliver to Cyrus there?"""
    service, where = delivery.service, delivery.setting.where
    if delivery.place != delivery.path and _is_missing(delivery.place):
        yield critical(
            f"{where}: Postfix's {service.name} runs chrooted and looks for {delivery.path} at "
            f"{delivery.place}, which does not exist",
            UNDELIVERED,
            f"postconf -F {service.name}/{service.kind}/chroot=n && postfix reload; or cyrus.conf: an "
            "lmtpd that listens there",
        )
        return
    yield from probe_sockets.examine(delivery_endpoint(where, f"unix:{delivery.place}", users))


def _is_missing(path: str) -> bool:
    """Does a file not exist? Other errors show when somebody connects to it."""
    try:
        os.stat(path)
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return False
