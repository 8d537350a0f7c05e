"""`autocreate doctor`: what it checks, in order. Nothing is changed.

Each check is a `probe_*` module, which reads files, runs programs or connects to servers. It judges what
it got by rules without I/O: `postfix*`, `sendmail`, `lmtp`, `cyrus*`, `permissions`, `endpoints`. No host
names are looked up except those of servers that autocreate.toml names.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from autocreate.doctor import (
    probe_accounts,
    probe_cyrus,
    probe_cyrus_files,
    probe_files,
    probe_journal,
    probe_lmtp,
    probe_postfix,
    probe_sendmail,
    probe_sockets,
    probe_tables,
    probe_users,
)
from autocreate.doctor.endpoints import (
    Endpoint,
    login_endpoint,
    milter_endpoint,
    notify_endpoint,
)
from autocreate.doctor.findings import Finding, warning
from autocreate.doctor.permissions import UnixUser
from autocreate.doctor.site import MtaPaths, Site, Tools


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What doctor found, and what it checked."""

    findings: tuple[Finding, ...] = ()
    checked: tuple[str, ...] = ()


class _Check(NamedTuple):
    """What is checked, in words for the administrator, and what was found; "" if it could not be."""

    subject: str
    findings: Iterable[Finding]


def examine(site: Site, tools: Tools) -> Diagnosis:
    """Check everything."""
    findings: list[Finding] = []
    checked = []
    for check in _checks(site, tools):
        findings += check.findings
        if check.subject:
            checked.append(check.subject)
    return Diagnosis(tuple(findings), tuple(checked))


def _checks(site: Site, tools: Tools) -> Iterator[_Check]:
    """What is checked, one after the other."""
    mtas, cyrus, lmtp = site.mtas, site.cyrus, site.lmtp
    users = probe_users.running(site.control_sockets, tools.ask_process)
    callers: tuple[UnixUser, ...] = ()

    yield _Check(str(site.config_file), ())
    has_postfix = (mtas.postfix / "main.cf").exists()
    has_sendmail = mtas.sendmail.exists()
    if has_postfix:
        callers, found = probe_postfix.examine(site, tools)
        yield _Check(f"Postfix ({mtas.postfix})", found)
    if has_sendmail:
        yield _Check(
            f"Sendmail ({mtas.sendmail})", probe_sendmail.examine(mtas.sendmail, site.milter)
        )
    if not has_postfix and not has_sendmail:
        yield _Check("", [_no_mta(mtas)])
    for endpoint in _endpoints(site, callers):
        subject = "" if endpoint.is_inherited else endpoint.key
        yield _Check(subject, probe_sockets.examine(endpoint))
    subject = f"{cyrus.server}{' and its ManageSieve' if cyrus.sieve else ''}"
    yield _Check(subject, probe_cyrus.examine(cyrus.server, cyrus.sieve, tools.clock))
    paths = probe_cyrus_files.choose(site.cyrus_paths, cyrus.named, cyrus.server.host)
    yield _Check(str(paths), probe_cyrus_files.examine(paths, cyrus, tools))
    if lmtp:
        yield _Check(f"lmtpd ({lmtp.address})", probe_lmtp.examine(*lmtp, users))
    yield _Check("journal.url", probe_journal.examine(site.journal_url, site.journal_password_file))
    subject = ", ".join(tools.accounts)
    yield _Check(subject, probe_accounts.findings(tools.accounts, cyrus.expected.users))
    subject = ", ".join((*tools.domains, *tools.aliases))
    yield _Check(subject, probe_tables.findings(tools.domains, tools.aliases))
    files = [("autocreate.toml", site.config_file), *site.files]
    journal = probe_journal.path_of(site.journal_url)
    subject = "file permissions" if probe_files.can_check(users) else ""
    yield _Check(subject, probe_files.examine(users, files, journal))


def _endpoints(site: Site, mta_users: tuple[UnixUser, ...]) -> Iterator[Endpoint]:
    """Our sockets."""
    yield milter_endpoint(site.milter.socket, mta_users)
    peers = probe_users.unix_users(site.login.peers)
    if site.login.passwords:
        yield login_endpoint(site.login.passwords, peers)
    if site.login.notifications:
        yield notify_endpoint(site.login.notifications, peers)


def _no_mta(mtas: MtaPaths) -> Finding:
    return warning(
        f"neither {mtas.postfix}/main.cf nor {mtas.sendmail} exists",
        "no MTA's configuration was checked",
        "name it: --postfix FOLDER or --sendmail FILE",
    )
