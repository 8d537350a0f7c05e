"""How Postfix delivers mail in our domains: by which transport, and to whom that hands it on.

See ADDRESS_CLASS_README, transport(5), local(8), and resolve_addr() in trivial-rewrite/resolve.c.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autocreate.doctor.findings import MilterSettings
from autocreate.doctor.postconf import Postfix, Service, Setting, items
from autocreate.doctor.postfix_domains import (
    ADDRESS_CLASSES,
    AddressClass,
    Tables,
    has_parents,
    is_table,
    keys,
    our_domains,
)
from autocreate.doctor.source_report import NOBODY


@dataclass(frozen=True, slots=True)
class Transport:
    """A way to deliver mail.

    Args:
        setting: the parameter in main.cf that names it.
        name: of the transport, such as `lmtp`.
        nexthop: such as `unix:/run/cyrus/socket/lmtp`.
        service: its line of master.cf; None if there is none.
        table: the table of the parameter that names it; "" if the parameter does so itself.
    """

    setting: Setting
    name: str
    nexthop: str
    service: Service | None
    table: str = ""

    @property
    def command(self) -> str:
        """The program that delivers; "" if master.cf has none."""
        return self.service.command if self.service else ""

    @property
    def place(self) -> str:
        """Where it is configured, for messages."""
        return f"{self.setting.where}{f' ({self.table})' if self.table else ''}"


@dataclass(frozen=True, slots=True)
class Route:
    """How mail in some of our domains is delivered.

    Args:
        address_class: of the domains.
        domains: sorted; or the tables that name them.
        transport: the one that milters are told as `{rcpt_mailer}`.
        onward: those that local(8) hands mail on to.
    """

    address_class: AddressClass
    domains: tuple[str, ...]
    transport: Transport
    onward: tuple[Transport, ...] = ()

    @property
    def ends(self) -> tuple[Transport, ...]:
        """The transports that may deliver to the mailbox."""
        return self.onward or (self.transport,)


def ends(routes: Iterable[Route]) -> list[Transport]:
    """The transports that may deliver to the mailboxes of routes, once each."""
    return list(dict.fromkeys(end for route in routes for end in route.ends))


def routes(postfix: Postfix, ours: MilterSettings, tables: Tables) -> list[Route]:
    """How mail in our domains is delivered. A domain of two classes counts in the first, as in Postfix."""
    found: dict[tuple[AddressClass, Transport], list[str]] = {}
    seen: set[str] = set()
    for address_class in ADDRESS_CLASSES:
        for domain in our_domains(postfix, address_class, ours, tables):
            if domain not in seen:
                seen.add(domain)
                transport = _transport(postfix, address_class, domain, tables)
                found.setdefault((address_class, transport), []).append(domain)
    return [
        Route(address_class, tuple(domains), transport, tuple(_onward(postfix, transport)))
        for (address_class, transport), domains in found.items()
    ]


def _transport(
    postfix: Postfix, address_class: AddressClass, domain: str, tables: Tables
) -> Transport:
    usual = _named(postfix, address_class.transport)
    if is_table(domain):
        return usual
    parents = has_parents(postfix, "transport_maps")
    for key in (f"{NOBODY}@{domain}", *keys(domain, parents), "*"):
        for table in items(postfix.get("transport_maps")):
            value = tables.find(table, key)
            if value is not None:
                name, _, nexthop = value.partition(":")
                return (
                    _made(postfix, "transport_maps", f"{name or usual.name}:{nexthop}", table)
                    if value.strip(":")
                    else usual
                )
    return usual


def _onward(postfix: Postfix, transport: Transport) -> Iterator[Transport]:
    """To whom local(8) hands mail on: for everybody, or for users whom it does not know."""
    if transport.command == "local":
        for parameter in ("mailbox_transport", "fallback_transport"):
            if postfix.get(parameter):
                yield _named(postfix, parameter)


def _named(postfix: Postfix, parameter: str) -> Transport:
    return _made(postfix, parameter, postfix.get(parameter))


def _made(postfix: Postfix, parameter: str, value: str, table: str = "") -> Transport:
    name, _, nexthop = value.partition(":")
    services = {it.name: it for it in postfix.services if it.kind == "unix"}
    return Transport(postfix.setting(parameter), name, nexthop, services.get(name), table)
