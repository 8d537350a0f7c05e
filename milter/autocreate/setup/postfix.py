"""What a Postfix says about domains and users, and the lines that connect it with the milter and Cyrus."""

from collections.abc import Iterator
from dataclasses import dataclass

from autocreate.doctor.endpoints import reaches
from autocreate.doctor.postconf import Postfix, items, milters
from autocreate.doctor.postfix_domains import (
    ADDRESS_CLASSES,
    LOCAL,
    RELAY,
    VIRTUAL,
    AddressClass,
    is_table,
)
from autocreate.setup import edit
from autocreate.setup.values import (
    Change,
    Connection,
    Folder,
    Seen,
    SeenPostfix,
    Step,
)

_PARAMETERS = "default_action=tempfail, connect_timeout=10s, command_timeout=30s"
# Names of this machine, which Debian writes into mydestination.
_MACHINE = ("localhost",)


@dataclass(frozen=True, slots=True)
class Hosted:
    """The address class whose mail is, or is to be, Cyrus's.

    Args:
        domains: listed by their names.
        tables: the tables that have further domains.
        maps: the tables of its recipients.
    """

    address_class: AddressClass
    domains: tuple[str, ...]
    tables: tuple[str, ...]
    maps: tuple[str, ...]


def hosted(postfix: SeenPostfix) -> Hosted | None:
    """The class of domains to begin with.

    It is the first of those that lmtp(8) delivers for; else virtual mailboxes, else this machine's names.
    """
    found = [_hosted(postfix, it) for it in (VIRTUAL, LOCAL)]
    used = [it for it in found if it.domains or it.tables]
    return next(iter([*_by_lmtp(postfix), *used]), None)


def remarks(postfix: SeenPostfix) -> Iterator[str]:
    """What could not be read, and domains of further classes, which one account source may not know."""
    yield from postfix.unread
    for other in _by_lmtp(postfix)[1:]:
        domains = ", ".join([*other.domains, *other.tables])
        yield (
            f"lmtp(8) also delivers for {domains} ({other.address_class.domains}): add these domains, "
            "and the source of their accounts."
        )


def _by_lmtp(postfix: SeenPostfix) -> list[Hosted]:
    """The classes that lmtp(8) delivers for, virtual mailboxes first."""
    found = [_hosted(postfix, it) for it in (VIRTUAL, RELAY, LOCAL)]
    return [
        it
        for it in found
        if (it.domains or it.tables) and lmtp_nexthop(postfix.conf, it.address_class)
    ]


def _hosted(postfix: SeenPostfix, address_class: AddressClass) -> Hosted:
    domains, tables = [], []
    for item in _flat(postfix, postfix.conf.get(address_class.domains)):
        if is_table(item):
            tables.append(item.removeprefix("proxy:"))
        elif not item.startswith(("!", "[")) and not _is_machine(item, address_class):
            domains.append(item.lower())
    maps = [it.removeprefix("proxy:") for it in items(postfix.conf.get(address_class.recipients))]
    return Hosted(address_class, tuple(dict.fromkeys(domains)), tuple(tables), tuple(maps))


def _flat(postfix: SeenPostfix, value: str) -> Iterator[str]:
    for item in items(value):
        if item.startswith("/"):
            text = postfix.listed.get(item, "")
            lines = (it for it in text.splitlines() if not it.lstrip().startswith("#"))
            yield from items("\n".join(lines))
        else:
            yield item


def _is_machine(name: str, address_class: AddressClass) -> bool:
    return address_class == LOCAL and (name.partition(".")[0] in _MACHINE or "." not in name)


def _transport_parameter(conf: Postfix, address_class: AddressClass) -> str:
    """The parameter that says who delivers in the end."""
    if address_class == LOCAL and conf.get("local_transport").partition(":")[0] == "local":
        return "mailbox_transport"
    return address_class.transport


def lmtp_nexthop(conf: Postfix, address_class: AddressClass) -> str:
    """Where lmtp(8) delivers for a class: "unix:/path" or "inet:HOST:PORT"; "" if somebody else delivers."""
    name, _, nexthop = conf.get(_transport_parameter(conf, address_class)).partition(":")
    commands = {it.name: it.command for it in conf.services if it.kind == "unix"}
    if commands.get(name) != "lmtp" or not nexthop:
        return ""
    return nexthop if nexthop.startswith(("unix:", "inet:")) else f"inet:{nexthop}"


def milter_socket(conf: Postfix) -> str:
    """Where every smtpd and cleanup finds the milter, chrooted or not: below the queue directory."""
    return f"unix:{conf.queue}autocreate/milter.sock"


def step(seen: Seen, connection: Connection) -> Step | None:
    """What to change in main.cf and master.cf; None without a Postfix."""
    postfix = seen.postfix
    if postfix is None:
        return None
    wanted = dict(_wanted(seen, postfix, connection))
    values = {name: value for name, (value, _) in wanted.items() if postfix.conf.get(name) != value}
    main = edit.set_parameters(
        postfix.main_cf.text, values, {name: why for name, (_, why) in wanted.items()}
    )
    changes = [
        Change(
            postfix.main_cf.path,
            postfix.main_cf.text,
            main,
            tuple(f"{name}: {wanted[name][1]}" for name in values),
        )
    ]
    if master := _master(seen, postfix, connection):
        changes.append(master)
    changes = [it for it in changes if it.before != it.after]
    if not changes:
        return Step("Postfix")
    command = f"postfix -c {postfix.folder}"
    return Step(
        "Postfix asks the milter, and delivers to Cyrus",
        tuple(changes),
        check=("postfix", "-c", postfix.folder, "check"),
        after=(f"{command} reload",),
        undo=(f"{command} reload",),
        needs_milter=True,
    )


def folder_of_socket(seen: Seen, connection: Connection) -> Folder | None:
    """The folder of the milter's socket, if that is below Postfix's queue directory."""
    postfix = seen.postfix
    if postfix is None:
        return None
    queue = postfix.conf.queue
    path = connection.socket.removeprefix("unix:")
    if not path.startswith(queue) or path.count("/") != queue.count("/") + 1:
        return None
    owner = "autocreate" if seen.has_our_user else "root"
    return Folder(path.rpartition("/")[0], owner, "postfix", 0o2750)


def _wanted(
    seen: Seen, postfix: SeenPostfix, connection: Connection
) -> Iterator[tuple[str, tuple[str, str]]]:
    """The parameters that have to have a value, with the reason in one line."""
    conf = postfix.conf
    place = _place(conf, connection.socket)
    ours = f"{{ {place}, {_PARAMETERS} }}"
    for name, why in (
        ("smtpd_milters", "ask the milter about every recipient, before other milters"),
        ("non_smtpd_milters", "the same for mail that is submitted on this machine"),
    ):
        # As it is written: `non_smtpd_milters = $smtpd_milters` has what smtpd_milters will have.
        written = edit.parameter(postfix.main_cf.text, name)
        asks = any(_is_ours(conf, it.place, connection.socket) for it in milters(conf.get(name)))
        if not asks and "$smtpd_milters" not in written:
            yield name, (f"{ours}, {written}".rstrip(", "), why)
    filtered = set(items(conf.get("internal_mail_filter_classes")))
    if not {"bounce", "notify"} <= filtered:
        all_of_them = ", ".join(sorted(filtered | {"bounce", "notify"}))
        yield (
            "internal_mail_filter_classes",
            (all_of_them, "and for bounces, to users who have no mailbox yet"),
        )
    yield from _delivery(postfix, connection)
    if conf.get("recipient_delimiter") == "":
        yield "recipient_delimiter", ("+", "the delimiter that Cyrus's lmtpd knows")
    if conf.get("smtputf8_enable") == "yes":
        yield (
            "smtputf8_enable",
            ("no", "lmtpd up to Cyrus 3.10 does not offer SMTPUTF8; remove this with Cyrus 3.12"),
        )
    is_virtual = seen.cyrus is not None and seen.cyrus.files.conf.virtdomains != "off"
    if is_virtual and connection.domains and not conf.get("lmtp_generic_maps"):
        pairs = ", ".join(f"@{it}=@{it}" for it in connection.domains)
        why = "domains in lower case: lmtpd up to 3.10 crashes on others"
        yield "lmtp_generic_maps", (f"inline:{{ {pairs} }}", why)


def _delivery(
    postfix: SeenPostfix, connection: Connection
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Where mail in our domains goes, if Postfix does not deliver by LMTP yet."""
    conf, found = postfix.conf, hosted(postfix)
    known = {it.lower() for it in found.domains} if found else set()
    if found is None or (not found.tables and not known & set(connection.domains)):
        domains = " ".join(connection.domains)
        if domains:
            yield "virtual_mailbox_domains", (domains, "the domains whose mailboxes are in Cyrus")
        address_class = VIRTUAL
    else:
        address_class = found.address_class
    if connection.lmtp and not lmtp_nexthop(conf, address_class):
        parameter = _transport_parameter(conf, address_class)
        yield parameter, (f"lmtp:{connection.lmtp}", "mail is delivered to Cyrus")


def _place(conf: Postfix, socket: str) -> str:
    """The milter's socket as Postfix writes it: below the queue directory without a slash at its
    beginning, which is right in a chroot and outside."""
    queue = f"unix:{conf.queue}"
    return f"unix:{socket.removeprefix(queue)}" if socket.startswith(queue) else socket


def _is_ours(conf: Postfix, place: str, socket: str) -> bool:
    kind, _, path = place.partition(":")
    if kind not in ("unix", "local"):
        return reaches(place, socket)
    return socket in (f"unix:{path}", f"unix:{conf.queue}{path.lstrip('/')}")


def _master(seen: Seen, postfix: SeenPostfix, connection: Connection) -> Change | None:
    """master.cf with an lmtp(8) that finds lmtpd's Unix socket."""
    queue = f"unix:{postfix.conf.queue}"
    chrooted = [it for it in postfix.conf.running("lmtp") if it.is_chrooted and it.name == "lmtp"]
    lmtp = connection.lmtp
    if not chrooted or not lmtp.startswith("unix:/") or lmtp.startswith(queue):
        return None
    text = edit.without_chroot(postfix.master_cf.text, "lmtp", "unix")
    why = f"lmtp unix: without chroot, to find {lmtp.removeprefix('unix:')}"
    return Change(postfix.master_cf.path, postfix.master_cf.text, text, (why,))


def tables(conf: Postfix, recipients: bool = True) -> list[str]:
    """The tables of domains in main.cf, and those of recipients, each once."""
    names = [it.domains for it in ADDRESS_CLASSES]
    names += [it.recipients for it in ADDRESS_CLASSES if recipients]
    found = (item.removeprefix("proxy:") for name in names for item in items(conf.get(name)))
    return list(dict.fromkeys(it for it in found if is_table(it)))
