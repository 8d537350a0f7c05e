"""From what is on a machine to a first autocreate.toml, and to the steps that connect the MTA and Cyrus."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from autocreate.setup import cyrus, maps, postfix, sendmail
from autocreate.setup.document import document
from autocreate.setup.maps import Naming, Untranslatable
from autocreate.setup.postfix import Hosted
from autocreate.setup.values import (
    DESCRIBED,
    Answers,
    Connection,
    Proposal,
    Seen,
    Step,
    Table,
)

USUAL_ADMIN = "cyrus"
USUAL_SOCKET = "unix:/run/autocreate/milter.sock"
USUAL_LMTPD = "unix:/run/cyrus/socket/lmtp"

_OF_TABLE = "accounts.users"  # what a source is called that asks one of Postfix's tables


@dataclass(frozen=True, slots=True)
class Questions:
    """What was found, and is to be confirmed; "" or nothing where only the administrator can know.

    Args:
        domains: the domains whose mailboxes are in Cyrus.
        has_domain_tables: tables have further ones, so that none need be named.
        admin: the administrator of Cyrus.
        accounts: the type of the account source: nss or sasldb.
        found_accounts: the table of the MTA that knows accounts, in words. It is not asked about.
    """

    domains: tuple[str, ...]
    has_domain_tables: bool
    admin: str
    accounts: str = ""
    found_accounts: str = ""


def questions(seen: Seen) -> Questions:
    """What to ask the administrator, with what is proposed."""
    found = postfix.hosted(seen.postfix) if seen.postfix else None
    nothing = Answers()
    domains = _domains(seen, found, nothing)
    sources, _ = _accounts(seen, found, nothing)
    is_table = any(it.head == _OF_TABLE for it in sources)
    return Questions(
        domains,
        bool(found and found.tables),
        _admin(seen, nothing),
        accounts=str(sources[0].keys["type"]) if sources and not is_table else "",
        found_accounts=sources[0].remarks[0] if is_table else "",
    )


def propose(seen: Seen, answers: Answers) -> Proposal:
    """A first autocreate.toml."""
    found = postfix.hosted(seen.postfix) if seen.postfix else None
    domains = _domains(seen, found, answers)
    sources, problems = _accounts(seen, found, answers)
    tables = _domain_tables(seen, found, answers)
    connection = Connection(
        postfix.milter_socket(seen.postfix.conf) if seen.postfix else USUAL_SOCKET,
        tuple(dict.fromkeys([*domains, *_in_tables(seen, found)])),
        _admin(seen, answers),
        _lmtp(seen, found),
    )
    written = [*sources, *tables]
    secrets = {str(it.keys["password_file"]): it.secret for it in written if it.secret}
    text = document(seen, answers, connection, domains, written)
    remarks = [*problems, *cyrus.remarks(seen, connection.admin)]
    if seen.postfix:
        remarks += postfix.remarks(seen.postfix)
    return Proposal(text, secrets, connection, tuple(remarks))


def unknown(seen: Seen, answers: Answers) -> list[str]:
    """What only the administrator can know, and has not said: a line each, with the option to say it."""
    asked = questions(seen)
    problems = []
    if not answers.domains and not asked.domains and not asked.has_domain_tables:
        problems.append("no domain was found for which this MTA delivers: --domain example.org")
    if not answers.accounts and not asked.accounts and not asked.found_accounts:
        problems.append(
            "no account source was found: --accounts nss, --accounts sasldb, or --accounts FILE; or "
            "--accounts nss, and then write another source as in docs/accounts.md"
        )
    return problems


def connection_of(seen: Seen, settings: Connection) -> Connection:
    """What an autocreate.toml says, completed by what was seen.

    Args:
        settings: without the domains of tables; `lmtp` is empty if there is no [lmtp].
    """
    found = postfix.hosted(seen.postfix) if seen.postfix else None
    domains = dict.fromkeys([*settings.domains, *_in_tables(seen, found)])
    return replace(settings, domains=tuple(domains), lmtp=settings.lmtp or _lmtp(seen, found))


def steps(seen: Seen, connection: Connection) -> list[Step]:
    """What to change, in the order in which to apply it; each is empty if all is as it should be."""
    folder = postfix.folder_of_socket(seen, connection)
    start = Step(
        "The milter runs, before an MTA points at it",
        folders=(folder,) if folder else (),
        after=("systemctl enable autocreate-milter", "systemctl restart autocreate-milter"),
        starts_milter=True,
    )
    closed = connection.lmtp.removeprefix("unix:") in seen.closed_sockets
    reach = Step(
        "Postfix may connect to Cyrus's LMTP socket",
        after=("adduser postfix mail", "systemctl restart postfix"),
        undo=("deluser postfix mail", "systemctl restart postfix"),
    )
    found = [
        cyrus.step(seen, connection),
        start,
        reach if seen.postfix and closed else None,
        postfix.step(seen, connection),
        sendmail.step(seen, connection),
    ]
    return [it for it in found if it is not None]


def _domains(seen: Seen, found: Hosted | None, answers: Answers) -> tuple[str, ...]:
    """The domains to name: as the administrator says, else as the MTA does."""
    if answers.domains or found:
        return answers.domains or (found.domains if found else ())
    return sendmail.domains(seen.sendmail) if seen.sendmail else ()


def _admin(seen: Seen, answers: Answers) -> str:
    """The administrator of Cyrus: as the administrator says, else as imapd.conf does, else the usual one."""
    return answers.admin or (cyrus.admin(seen.cyrus) if seen.cyrus else "") or USUAL_ADMIN


def _lmtp(seen: Seen, found: Hosted | None) -> str:
    """Where lmtpd listens: as the MTA has it, else as cyrus.conf does, else the usual place."""
    if seen.postfix and found:
        nexthop = postfix.lmtp_nexthop(seen.postfix.conf, found.address_class)
        if nexthop:
            return nexthop
    address = cyrus.lmtp_address(seen.cyrus) if seen.cyrus else ""
    return address or (USUAL_LMTPD if seen.cyrus else "")


def _in_tables(seen: Seen, found: Hosted | None) -> Iterator[str]:
    """The domains of tables that can be listed."""
    if seen.postfix and found:
        for table in found.tables:
            yield from (it.lower() for it in seen.postfix.keys.get(table, ()) if "." in it)


def _naming(seen: Seen, domains: Sequence[str]) -> Naming:
    conf = seen.cyrus.files.conf if seen.cyrus else None
    if conf and conf.virtdomains != "off":
        return Naming(True, conf.defaultdomain)
    return Naming(False, domains[0] if len(domains) == 1 else "")


def _accounts(seen: Seen, found: Hosted | None, answers: Answers) -> tuple[list[Table], list[str]]:
    """The account sources, and why a table of Postfix's is none of them."""
    problems: list[str] = []
    if answers.accounts:
        return [_of_type(seen, answers.accounts)], problems
    named = _domains(seen, found, answers)
    domains = tuple(dict.fromkeys([*named, *_in_tables(seen, found)]))
    naming = _naming(seen, domains)
    for table in found.maps if seen.postfix and found else ():
        try:
            if source := _of_map(seen, table, naming, domains, answers.folder):
                return [source], problems
        except Untranslatable as why:
            problems.append(f"Postfix's {table} cannot be asked for accounts: {why}.")
    if seen.sasldb and _checks_auxprop(seen):
        return [_of_type(seen, "sasldb")], problems
    return ([_of_type(seen, "nss")] if seen.has_people else []), problems


def _of_map(
    seen: Seen, table: str, naming: Naming, domains: Sequence[str], folder: str
) -> Table | None:
    """The account source of one of Postfix's maps of recipients; None if it tells nothing of accounts."""
    assert seen.postfix
    kind, _, place = table.partition(":")
    if kind == "unix" and place == "passwd.byname":
        return _of_type(seen, "nss")
    if kind in DESCRIBED and table in seen.postfix.described:
        settings = seen.postfix.described[table]
        return maps.accounts(table, settings, naming, f"{folder}/accounts.secret")
    if maps.is_file(table) and table in seen.postfix.sources:
        # alias_maps are among local_recipient_maps by default, and have no accounts.
        if table in seen.postfix.conf.get("alias_maps"):
            return None
        return maps.file_of_users(table, domains)
    return None


def _of_type(seen: Seen, kind: str) -> Table:
    """An account source that needs nothing more than its type."""
    if kind == "nss":
        remark = "The users of this machine: passwd(5), SSSD and all else in nsswitch.conf(5)."
        return Table("accounts.system", {"type": "nss"}, (remark,))
    if kind == "sasldb":
        path = seen.sasldb or "/etc/sasldb2"
        keys = {"type": "sasldb", "path": path}
        realm = seen.cyrus.files.options.find("servername") if seen.cyrus else None
        if realm:
            keys["realm"] = realm.value
        remark = "The users of Cyrus SASL's own database. autocreate must be in the group sasl."
        return Table("accounts.sasl", keys, (remark,))
    return Table("accounts.list", {"type": "file", "path": kind}, ("One user in each line.",))


def _checks_auxprop(seen: Seen) -> bool:
    option = seen.cyrus.files.options.find("sasl_pwcheck_method") if seen.cyrus else None
    return option is None or "auxprop" in option.value.lower()


def _domain_tables(seen: Seen, found: Hosted | None, answers: Answers) -> list[Table]:
    made = []
    for number, table in enumerate(found.tables if seen.postfix and found else (), 1):
        assert seen.postfix
        end = "" if number == 1 else str(number)
        secret = f"{answers.folder}/domains{end}.secret"
        made.append(maps.domains(f"domains.postfix{end}", table, seen.postfix, secret))
    return made
