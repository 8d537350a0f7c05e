"""Reads imapd.conf and cyrus.conf, and each imapd.conf that a service has of its own."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from autocreate.doctor import cyrus
from autocreate.doctor.configuration import impossible_folders, lost_annotations
from autocreate.doctor.cyrus_services import own_files
from autocreate.doctor.findings import Finding, critical, warning
from autocreate.doctor.site import CyrusPaths, CyrusTarget, Tools
from autocreate.errors import ConfigurationError
from autocreate.imapdconf.parser import Option, Options
from autocreate.imapdconf.settings import CyrusFiles

_THIS_MACHINE = re.compile(r"localhost|127\.[0-9.]+|::1")
_DEBIAN = CyrusPaths(Path("/etc/imapd.conf"), Path("/etc/cyrus.conf"))

_Reader = Callable[[str, str | None], CyrusFiles]


class _Read(NamedTuple):
    """A file, or why it could not be read."""

    files: CyrusFiles | None
    findings: list[Finding]


def choose(
    by_command: CyrusPaths, by_config: CyrusPaths, host: str, usual: CyrusPaths = _DEBIAN
) -> CyrusPaths:
    """The files to check: those of the command, else of autocreate.toml, else Debian's.

    Args:
        host: `cyrus.host`. The files of this machine count only if it is this machine.
        usual: where they are if nobody names them.
    """
    path = by_command.imapd_conf or by_config.imapd_conf
    cyrus_conf = by_command.cyrus_conf or by_config.cyrus_conf
    if path is None and _THIS_MACHINE.fullmatch(host):
        path = _existing(usual.imapd_conf)
        cyrus_conf = cyrus_conf or _existing(usual.cyrus_conf)
    return CyrusPaths(path, cyrus_conf)


def examine(paths: CyrusPaths, target: CyrusTarget, tools: Tools) -> list[Finding]:
    """Check Cyrus's files; nothing if `paths` names no imapd.conf."""
    if paths.imapd_conf is None:
        return []
    cyrus_conf = str(paths.cyrus_conf) if paths.cyrus_conf else None
    files, findings = _read(tools.read_cyrus, str(paths.imapd_conf), cyrus_conf)
    if files is None:
        return findings
    others: dict[str, Options] = {}
    for path in own_files(files):
        other, problems = _read(tools.read_cyrus, path, None)
        findings += problems
        if other:
            others[path] = other.options
    findings[:0] = cyrus.examine(files, target.expected, others)
    if not target.named.imapd_conf:  # else `config check` reports them
        findings += impossible_folders(tools.impossible_folders(files.conf))
    findings += lost_annotations(tools.lost_annotations(files))
    return findings


def certificate(paths: CyrusPaths, tools: Tools) -> Option | None:
    """The option that names the server's certificate; None if it cannot be told."""
    if paths.imapd_conf is None:
        return None
    files, _findings = _read(tools.read_cyrus, str(paths.imapd_conf), None)
    return files.options.find("tls_server_cert") if files else None


def _read(read: _Reader, path: str, cyrus_conf: str | None) -> _Read:
    try:
        return _Read(read(path, cyrus_conf), [])
    except OSError as error:
        unread = warning(
            f"{error.filename} cannot be read: {error.strerror}",
            "Cyrus's configuration was not checked",
            "run this as root, or name the files: --imapd-conf FILE, --cyrus-conf FILE",
        )
        return _Read(None, [unread])
    except ConfigurationError as error:
        wrong = [
            critical(
                problem,
                "Cyrus does not start with it, or does not do what it says",
                "correct it, and restart Cyrus",
            )
            for problem in error.problems
        ]
        return _Read(None, wrong)


def _existing(path: Path | None) -> Path | None:
    return path if path and path.exists() else None
