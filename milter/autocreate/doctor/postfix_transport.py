"""How mail in our domains leaves Postfix: transports, their sockets, quoted local parts."""

from collections.abc import Iterator
from dataclasses import dataclass

from autocreate.doctor.findings import Finding, MilterSettings, critical
from autocreate.doctor.postconf import Postfix, Service
from autocreate.doctor.postfix_domains import ADDRESS_CLASSES, our_domains


@dataclass(frozen=True, slots=True)
class Transport:
    """How mail in some of our domains is delivered.

    Args:
        parameter: the parameter in main.cf that names it.
        service: its line of master.cf; None if there is none.
        name: of the transport, such as `lmtp`.
        nexthop: such as `unix:/run/cyrus/socket/lmtp`.
    """

    parameter: str
    service: Service | None
    name: str
    nexthop: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A Unix socket to which Postfix delivers.

    Args:
        parameter: the parameter in main.cf that names it.
        service: the line of master.cf that delivers there.
        path: the socket as it is written.
        place: where the service looks for it.
    """

    parameter: str
    service: Service
    path: str
    place: str


def examine(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    """Do lmtp(8) and autocreate.toml agree on whether `a..b` is sent in quotes? Cyrus refuses quotes."""
    name = "lmtp_quote_rfc821_envelope"
    for place, value in postfix.values(name, postfix.running("lmtp")).items():
        if value and (value == "yes") != ours.quotes_dots:
            yield critical(
                f"{place}: {name} is {value}, milter.{name} is {str(ours.quotes_dots).lower()}",
                "users such as a..b and dot. are accepted, and Cyrus refuses their mail: it bounces"
                if value == "yes"
                else "users such as a..b and dot. are refused, though Cyrus would take their mail",
                f"autocreate.toml: milter.{name} = {str(value == 'yes').lower()}",
            )


def transports(postfix: Postfix, ours: MilterSettings) -> Iterator[Transport]:
    """How mail in our domains is delivered."""
    services = {it.name: it for it in postfix.services if it.kind == "unix"}
    parameters = [it.transport for it in ADDRESS_CLASSES if our_domains(postfix, it.domains, ours)]
    if "local_transport" in parameters:
        parameters.append("mailbox_transport")  # local(8) hands mail on to it
    for parameter in parameters:
        name, _, nexthop = postfix.get(parameter).partition(":")
        yield Transport(parameter, services.get(name), name, nexthop)


def deliveries(postfix: Postfix, ours: MilterSettings) -> Iterator[Delivery]:
    """The Unix sockets to which mail in our domains is delivered (lmtp(8): `lmtp:unix:PATH`)."""
    for transport in transports(postfix, ours):
        kind, _, path = transport.nexthop.partition(":")
        service = transport.service
        if kind == "unix" and service:
            yield Delivery(transport.parameter, service, path, postfix.socket_path(service, path))
