"""Looks at this machine: Postfix, Sendmail, Cyrus, and who has an account. Changes nothing."""

import contextlib
import os
import pwd
import stat
import subprocess
from pathlib import Path

from autocreate.admin.aliases import detect
from autocreate.aliases.texts import logical_lines
from autocreate.backends.regular_file import read_text
from autocreate.config import imapd
from autocreate.doctor.permissions import obstacle
from autocreate.doctor.postconf import Postfix, items
from autocreate.doctor.postfix_domains import ADDRESS_CLASSES
from autocreate.doctor.probe_postfix import read_postfix
from autocreate.doctor.probe_sockets import path_entries
from autocreate.doctor.probe_users import unix_user
from autocreate.doctor.programs import Runner, reason, run
from autocreate.doctor.site import CyrusPaths, MtaPaths
from autocreate.errors import ConfigurationError
from autocreate.setup import maps, postfix
from autocreate.setup.cyrus import lmtp_address
from autocreate.setup.values import (
    DESCRIBED,
    File,
    Seen,
    SeenCyrus,
    SeenPostfix,
    SeenSendmail,
)

# The user numbers that count as people, as in NssAccounts.
_PEOPLE = range(1000, 60001)


def look(mtas: MtaPaths, cyrus_paths: CyrusPaths, runner: Runner = run) -> Seen:
    """What is on this machine.

    Args:
        mtas, cyrus_paths: where the configurations are. Each may be missing.

    Raises:
        ConfigurationError: a configuration is there and cannot be read, or there is no MTA.
    """
    found_postfix = _postfix(mtas.postfix, runner)
    found_sendmail = _sendmail(mtas.sendmail)
    if not found_postfix and not found_sendmail:
        raise ConfigurationError(
            str(mtas.postfix),
            [f"no main.cf there, and no {mtas.sendmail}: use --postfix or --sendmail"],
        )
    found_cyrus = _cyrus(cyrus_paths)
    return Seen(
        found_postfix,
        found_sendmail,
        found_cyrus,
        aliases=tuple(detect(mtas)),
        has_people=any(it.pw_uid in _PEOPLE for it in pwd.getpwall()),
        sasldb=_sasldb(found_cyrus),
        closed_sockets=_closed(found_postfix, found_cyrus),
        has_our_user=unix_user("autocreate") is not None,
    )


def _postfix(folder: Path, runner: Runner) -> SeenPostfix | None:
    if not (folder / "main.cf").exists():
        return None
    try:
        conf = read_postfix(folder, runner)
        main_cf, master_cf = (_file(folder / name) for name in ("main.cf", "master.cf"))
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigurationError(str(folder), [f"postconf: {reason(error)}"]) from error
    keys: dict[str, tuple[str, ...]] = {}
    described: dict[str, dict[str, str]] = {}
    sources, unread = set(), []
    domain_tables = set(postfix.tables(conf, recipients=False))  # recipients may be millions
    for table in postfix.tables(conf):
        kind, _, path = table.partition(":")
        try:
            if kind in DESCRIBED and path.startswith("/"):
                described[table] = _parameters(read_text(path))
            elif maps.is_file(table) and table in domain_tables:
                keys[table] = _keys(folder, table, runner)
        except (OSError, subprocess.SubprocessError) as error:
            unread.append(f"Postfix's {table} cannot be read: {reason(error)}")
        if maps.is_file(table) and os.path.isfile(path):
            sources.add(table)
    return SeenPostfix(
        str(folder),
        conf,
        main_cf,
        master_cf,
        keys,
        described,
        _listed(conf),
        frozenset(sources),
        tuple(unread),
    )


def _keys(folder: Path, table: str, runner: Runner) -> tuple[str, ...]:
    """The keys of a table (`postmap -s`), which prints a key, a tab and a value in each line."""
    output = runner("postmap", "-c", str(folder), "-s", table)
    return tuple(line.split(None, 1)[0] for line in output.splitlines() if line.strip())


def _parameters(text: str) -> dict[str, str]:
    """The parameters of a file such as that of pgsql_table(5), which is written as main.cf is."""
    pairs = (line.partition("=") for _, line in logical_lines([text]))
    return {key.strip(): value.strip() for key, _, value in pairs}


def _listed(conf: Postfix) -> dict[str, str]:
    """The text of the files that lists of domains name instead of domains."""
    paths = [it for name in ADDRESS_CLASSES for it in items(conf.get(name.domains))]
    found = {}
    for path in (it for it in paths if it.startswith("/")):
        with contextlib.suppress(OSError):  # doctor tells of it
            found[path] = read_text(path)
    return found


def _sendmail(path: Path) -> SeenSendmail | None:
    if not path.exists():
        return None
    mc = path.with_suffix(".mc")
    try:
        return SeenSendmail(_file(path), _file(mc) if mc.exists() else None)
    except OSError as error:
        raise ConfigurationError(str(path), [f"cannot be read: {error.strerror}"]) from error


def _cyrus(paths: CyrusPaths) -> SeenCyrus | None:
    path = paths.imapd_conf
    if path is None or not path.exists():
        return None
    cyrus_conf = paths.cyrus_conf if paths.cyrus_conf and paths.cyrus_conf.exists() else None
    try:
        files = imapd.read(str(path), str(cyrus_conf) if cyrus_conf else None)
        return SeenCyrus(
            _file(path),
            files,
            _file(cyrus_conf) if cyrus_conf else None,
            all(_is_public(it) for it in (path, cyrus_conf) if it),
        )
    except OSError as error:
        raise ConfigurationError(str(path), [f"cannot be read: {error.strerror}"]) from error


def _is_public(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IROTH)


def _file(path: Path) -> File:
    # What is not UTF-8 has to survive a change of other lines.
    return File(str(path), path.read_bytes().decode("utf-8", "surrogateescape"))


def _sasldb(cyrus: SeenCyrus | None) -> str:
    option = cyrus.files.options.find("sasl_sasldb_path") if cyrus else None
    path = option.value if option else "/etc/sasldb2"
    return path if os.path.exists(path) else ""


def _closed(found: SeenPostfix | None, cyrus: SeenCyrus | None) -> frozenset[str]:
    """lmtpd's Unix socket, if Postfix's user may not connect to it."""
    place = lmtp_address(cyrus) if cyrus else ""
    user = unix_user(found.conf.get("mail_owner")) if found else None
    if user is None or not place.startswith("unix:"):
        return frozenset()
    path = place.removeprefix("unix:")
    try:
        is_closed = obstacle(path_entries(Path(path)), user) is not None
    except OSError:
        return frozenset()  # it does not exist yet
    return frozenset({path}) if is_closed else frozenset()
