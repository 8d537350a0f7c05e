"""Does mail in our domains reach Cyrus? Its transports, their sockets, quoted local parts."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autocreate.doctor.endpoints import UNDELIVERED
from autocreate.doctor.findings import Finding, MilterSettings, critical, warning
from autocreate.doctor.postconf import Postfix, Service, Setting, seconds
from autocreate.doctor.postfix_routes import Route, Transport, ends

# Seconds for an answer of a busy lmtpd. Postfix's defaults are longer.
_LEAST_TIMEOUTS = {
    "lmtp_lhlo_timeout": 30.0,
    "lmtp_mail_timeout": 30.0,
    "lmtp_rcpt_timeout": 30.0,
    "lmtp_data_done_timeout": 120.0,
}
_USUAL_LMTPD = "unix:/run/cyrus/socket/lmtp"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A Unix socket to which Postfix delivers.

    Args:
        setting: the parameter in main.cf that names it.
        service: the line of master.cf that delivers there.
        path: the socket as it is written.
        place: where the service looks for it.
    """

    setting: Setting
    service: Service
    path: str
    place: str


def examine(postfix: Postfix, ours: MilterSettings, routes: Sequence[Route]) -> Iterator[Finding]:
    """Check where mail in our domains ends, and how lmtp(8) writes addresses."""
    for route in routes:
        yield from _end(postfix, ours, route)
    yield from _quotes(postfix, ours)
    yield from _timeouts(postfix, routes)


def deliveries(postfix: Postfix, routes: Sequence[Route]) -> Iterator[Delivery]:
    """The Unix sockets to which mail in our domains is delivered (lmtp(8): `lmtp:unix:PATH`)."""
    for transport in ends(routes):
        kind, _, path = transport.nexthop.partition(":")
        service = transport.service
        if kind == "unix" and service:
            yield Delivery(transport.setting, service, path, postfix.socket_path(service, path))


def _end(postfix: Postfix, ours: MilterSettings, route: Route) -> Iterator[Finding]:
    """Does a route end at Cyrus, and does the milter check its recipients?"""
    transport, domains = route.transport, ", ".join(route.domains)
    if not any(_may_reach_cyrus(postfix, ours, it) for it in route.ends):
        yield _elsewhere(ours, route.ends[0], domains)
    elif transport.name not in ours.mailers:
        yield critical(
            f"{transport.place} is {transport.name!r}, which is not in milter.mailers",
            f"the milter does not check recipients in {domains}",
            f"autocreate.toml: add {transport.name!r} to milter.mailers",
        )


def _may_reach_cyrus(postfix: Postfix, ours: MilterSettings, transport: Transport) -> bool:
    match transport.command:
        case "lmtp" | "smtp":
            return True
        case "pipe":  # a program that we do not know counts if the administrator named it to us
            return _is_deliver(transport.service) or transport.name in ours.mailers
        case "local":
            return "cyrus" in postfix.get("mailbox_command")
    return False


def _is_deliver(service: Service | None) -> bool:
    """Is it Cyrus's deliver(8), which hands mail to lmtpd?"""
    return service is not None and {"cyrus", "deliver"} <= set(
        re.findall(r"\w+", service.arguments)
    )


def _elsewhere(ours: MilterSettings, end: Transport, domains: str) -> Finding:
    parameter = "mailbox_transport" if end.command == "local" else end.setting.name
    lmtpd = f"lmtp:{ours.lmtp or _USUAL_LMTPD}"
    remedy = f"main.cf: {parameter} = {lmtpd}"
    if end.table:
        remedy = f"{end.table}: {domains} {lmtpd}; then run postmap {end.table}"
    if not end.service:
        return critical(
            f"{end.place} is {end.name!r}, and master.cf has no such service",
            f"{UNDELIVERED}; this concerns {domains}",
            remedy,
        )
    return critical(
        f"{end.place} is {end.name!r}: mail in {domains} is delivered by Postfix's {end.command}(8), "
        "not to Cyrus",
        "mailboxes are created in Cyrus, and no mail gets there",
        remedy,
    )


def _timeouts(postfix: Postfix, routes: Sequence[Route]) -> Iterator[Finding]:
    """Does lmtp(8) wait for Cyrus?"""
    services = [
        it for it in postfix.running("lmtp") if any(end.service == it for end in ends(routes))
    ]
    for name, least in _LEAST_TIMEOUTS.items():
        for limit in postfix.settings(name, services):
            if limit.value and seconds(limit.value) < least:
                yield warning(
                    f"{limit.where} is {limit.value}",
                    "Postfix gives up on a busy Cyrus: mail waits in the queue"
                    + (", and is delivered twice" if name == "lmtp_data_done_timeout" else ""),
                    f"{limit.file}: {name} = {least:.0f}s or more, or no line for the default",
                )


def _quotes(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    """Do lmtp(8) and autocreate.toml agree on whether `a..b` is sent in quotes? Cyrus refuses quotes."""
    name = "lmtp_quote_rfc821_envelope"
    for setting in postfix.settings(name, postfix.running("lmtp")):
        value = setting.value
        if value and (value == "yes") != ours.quotes_dots:
            yield critical(
                f"{setting.where} is {value}, milter.{name} is {str(ours.quotes_dots).lower()}",
                "users such as a..b and dot. are accepted, and Cyrus refuses their mail: it bounces"
                if value == "yes"
                else "users such as a..b and dot. are refused, though Cyrus would take their mail",
                f"autocreate.toml: milter.{name} = {str(value == 'yes').lower()}",
            )
