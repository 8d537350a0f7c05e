"""`autocreate doctor`: what it checks, in order. Nothing is changed.

Each check is a `probe_*` module, which reads files, runs programs or connects to servers. It judges what
it got by rules without I/O: `postfix*`, `sendmail`, `lmtp`, `cyrus*`, `permissions`, `endpoints`. No host
names are looked up except those of servers that autocreate.toml names.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from autocreate.doctor import (
    probe_accounts,
    probe_cyrus,
    probe_cyrus_files,
    probe_files,
    probe_journal,
    probe_lmtp,
    probe_murder,
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
    socketmap_endpoint,
)
from autocreate.doctor.findings import Checked, Finding, Part, each_cause_once, warning
from autocreate.doctor.permissions import UnixUser
from autocreate.doctor.postconf import Postfix
from autocreate.doctor.site import MtaPaths, Site, Tools


class Check(NamedTuple):
    """What can be checked, and how. `subject` is "" if it cannot be, which `run` explains."""

    part: Part
    subject: str
    run: Callable[[], Iterable[Finding]]


def examine(site: Site, tools: Tools, only: Collection[Part] = tuple(Part)) -> list[Checked]:
    """Check everything, or some parts."""
    wanted = (it for it in _checks(site, tools) if it.part in only)
    checked = [Checked(it.part, it.subject, tuple(it.run())) for it in wanted]
    return [it for it in each_cause_once(checked) if it.subject or it.findings]


def _checks(site: Site, tools: Tools) -> Iterator[Check]:
    """What is checked, one after the other."""
    mtas, cyrus, lmtp = site.mtas, site.cyrus, site.lmtp
    users = probe_users.running(site.control_sockets, tools.ask_process)
    # The settings are correct, or there would be no site.
    yield Check(Part.CONFIG, str(site.config_file), tuple)
    postfix = None
    if (mtas.postfix / "main.cf").exists():
        postfix = probe_postfix.read(mtas.postfix, tools.run)
        yield Check(
            Part.POSTFIX,
            f"Postfix ({mtas.postfix})",
            partial(probe_postfix.examine, postfix, site, tools),
        )
    if mtas.sendmail.exists():
        check = partial(probe_sendmail.examine, mtas.sendmail, site.milter)
        yield Check(Part.SENDMAIL, f"Sendmail ({mtas.sendmail})", check)
    elif postfix is None:
        yield Check(Part.POSTFIX, "", lambda: [_no_mta(mtas)])
    for endpoint in _endpoints(site, probe_postfix.callers(postfix)):
        subject = "" if endpoint.is_inherited else endpoint.key
        yield Check(Part.SOCKETS, subject, partial(probe_sockets.examine, endpoint))
    subject = f"{cyrus.server}{' and its ManageSieve' if cyrus.sieve else ''}"
    paths = probe_cyrus_files.choose(site.cyrus_paths, cyrus.named, cyrus.server.host)
    certificate = partial(probe_cyrus_files.certificate, paths, tools)
    login = partial(probe_cyrus.examine, cyrus.server, cyrus.sieve, tools.clock, certificate)
    yield Check(Part.CYRUS, subject, login)
    murder = partial(
        probe_murder.examine, cyrus.server, cyrus.murder, cyrus.partitioned, tools.clock
    )
    yield Check(Part.CYRUS, "the Murder" if cyrus.murder else "", murder)
    yield Check(Part.CYRUS, str(paths), partial(probe_cyrus_files.examine, paths, cyrus, tools))
    if lmtp:
        is_utf8 = isinstance(postfix, Postfix) and postfix.get("smtputf8_enable") == "yes"
        session = partial(probe_lmtp.examine, *lmtp, users, is_utf8)
        yield Check(Part.LMTP, f"lmtpd ({lmtp.address})", session)
    journal = partial(
        probe_journal.examine, site.journal_url, site.journal_password_file, site.journal_where
    )
    yield Check(Part.JOURNAL, "journal.url", journal)
    accounts = partial(probe_accounts.findings, tools.accounts, cyrus.expected.users)
    yield Check(Part.ACCOUNTS, ", ".join(tools.accounts), accounts)
    tables = partial(probe_tables.findings, tools.domains, tools.aliases)
    yield Check(Part.TABLES, ", ".join((*tools.domains, *tools.aliases)), tables)
    files = [("autocreate.toml", site.config_file), *site.files]
    database = probe_journal.path_of(site.journal_url)
    permissions = partial(probe_files.examine, users, files, database, site.programs)
    subject = "file permissions" if probe_files.can_check(users) else ""
    yield Check(Part.FILES, subject, permissions)


def _endpoints(site: Site, mta_users: tuple[UnixUser, ...]) -> Iterator[Endpoint]:
    """Our sockets."""
    yield milter_endpoint(site.milter.socket, mta_users)
    if site.milter.socketmap:
        yield socketmap_endpoint(site.milter.socketmap, mta_users)
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
