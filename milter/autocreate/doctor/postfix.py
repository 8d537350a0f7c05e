"""A Postfix beside us: what of its configuration would bite. Follows postconf(5), master(5), MILTER_README."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from autocreate.doctor.endpoints import reaches
from autocreate.doctor.findings import Finding, MilterSettings, critical, warning
from autocreate.doctor.postconf import Milter, Postfix, Service, milters, seconds
from autocreate.domains.syntax import ANY_DOMAIN

# What makes Postfix ask Cyrus itself, where a new user does not exist yet.
_ASKS_A_SERVER = re.compile(r"\b(socketmap|tcp):")

# Domains that Postfix delivers for, who exists there, and how it delivers (ADDRESS_CLASS_README).
_CLASSES = (
    ("virtual_mailbox_domains", "virtual_mailbox_maps", "virtual_transport"),
    ("mydestination", "local_recipient_maps", "local_transport"),
    ("relay_domains", "relay_recipient_maps", "relay_transport"),
)

# What Postfix looks at before it asks milters about a recipient; the first three then only if it waits.
_WAITING = ("smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions")
_AT_RECIPIENT = (*_WAITING, "smtpd_relay_restrictions", "smtpd_recipient_restrictions")


class _Harm(NamedTuple):
    """What a default action does while no milter answers, and what is left to do afterwards."""

    why: str
    then: str = ""


# `tempfail` and `shutdown` are not among them: with both, clients come back later (451, or 421 and the
# end of the connection), and mail that is submitted on this machine waits in the maildrop queue. What
# Postfix does not know it takes for a temporary failure. Which one is the default depends on its version.
_HARM = {
    "accept": _Harm("everybody is accepted, unknown recipients too, and mail to new users bounces"),
    "reject": _Harm("all mail is refused for good, also to those who exist: senders get it back"),
    "quarantine": _Harm(
        "all mail is accepted, to unknown recipients too, and held: nobody gets it until it is released",
        "; for what is held, postqueue -p, then postsuper -H QUEUE_ID",
    ),
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """A Unix socket by which mail for us leaves Postfix.

    Args:
        parameter: what of main.cf names it.
        service: the line of master.cf that delivers there.
        path: the socket as it is written.
        place: where the service looks for it.
    """

    parameter: str
    service: Service
    path: str
    place: str


def examine(postfix: Postfix, ours: MilterSettings) -> list[Finding]:
    """Everything found, the milter's connection first."""
    return [
        *_smtpd(postfix, ours),
        *_local(postfix, ours),
        *_macros(postfix, ours),
        *_recipients(postfix, ours),
        *_aliases(postfix, ours),
        *_delimiter(postfix, ours),
        *_origin(postfix, ours),
        *_quotes(postfix, ours),
    ]


def deliveries(postfix: Postfix, ours: MilterSettings) -> Iterator[Delivery]:
    """The Unix sockets by which mail in our domains is delivered (lmtp(8): `lmtp:unix:PATH`)."""
    for parameter, service, _name, nexthop in transports(postfix, ours):
        kind, _, path = nexthop.partition(":")
        if kind == "unix" and service:
            yield Delivery(parameter, service, path, seen(postfix, service, path))


def transports(
    postfix: Postfix, ours: MilterSettings
) -> Iterator[tuple[str, Service | None, str, str]]:
    """By what mail in our domains is delivered: (parameter, its line of master.cf, transport, next hop)."""
    services = {it.name: it for it in postfix.services if it.kind == "unix"}
    parameters = [it for domains, _, it in _CLASSES if _ours_in(postfix, domains, ours)]
    if "local_transport" in parameters:
        parameters.append("mailbox_transport")  # by which local(8) hands it on
    for parameter in parameters:
        name, _, nexthop = postfix.get(parameter).partition(":")
        yield parameter, services.get(name), name, nexthop


def _smtpd(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    services = _smtpds(postfix)
    asking = 0
    for service in services:
        where = service.place
        if (
            "no_milters"
            in postfix.get("receive_override_options", service).replace(",", " ").split()
        ):
            yield warning(
                f"{where}: receive_override_options has no_milters",
                "mail that comes in there is seen by no milter: unknown recipients are accepted",
                "remove no_milters, unless all that comes in there has been checked before",
            )
            continue
        milter = _ours(postfix, "smtpd_milters", service, ours)
        if milter is None:
            yield from _not_asked(postfix, service, where, ours)
            continue
        asking += 1
        yield from _settings(postfix, milter, service, f"{where}: smtpd_milters", ours)
    if services and not asking:
        yield critical(
            "no smtpd of this Postfix asks our milter",
            "nobody is verified and no mailbox is created",
            f"main.cf: smtpd_milters = {{ {_as_postfix_writes(ours)}, default_action=tempfail }}",
        )


def _not_asked(
    postfix: Postfix, service: Service, where: str, ours: MilterSettings
) -> Iterator[Finding]:
    if service.is_chrooted and _names(postfix.get("smtpd_milters", service), ours.socket):
        queue = postfix.get("queue_directory")
        yield critical(
            f"{where}: smtpd is chrooted to {queue} and cannot see our socket {ours.socket}",
            "it finds no milter there, and all mail is refused for the time being",
            f"autocreate.toml: milter.socket below {queue}, and smtpd_milters with the path from there",
        )
    else:
        yield warning(
            f"{where}: its smtpd_milters do not name our socket {ours.socket}",
            "recipients that come in there are not verified, and get no mailbox",
            f"main.cf, or -o for that service: smtpd_milters = {_as_postfix_writes(ours)}",
        )


def _local(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    cleanup = next((it for it in postfix.services if it.command == "cleanup"), None)
    milter = _ours(postfix, "non_smtpd_milters", cleanup, ours)
    if milter is None:
        yield warning(
            "main.cf: non_smtpd_milters do not name our socket",
            "mail that is submitted on this machine creates no mailbox, and bounces for a new user",
            "main.cf: non_smtpd_milters = the same as smtpd_milters",
        )
    else:
        yield from _settings(postfix, milter, cleanup, "main.cf: non_smtpd_milters", ours)


def _settings(
    postfix: Postfix, milter: Milter, service: Service | None, where: str, ours: MilterSettings
) -> Iterator[Finding]:
    action = milter.settings.get("default_action") or postfix.get("milter_default_action", service)
    if harm := _HARM.get(action.lower()):
        yield critical(
            f"{where}: the default action is {action}",
            f"while our milter is down, {harm.why}",
            f"main.cf: default_action=tempfail within the braces of our milter{harm.then}",
        )
    limit = milter.settings.get("command_timeout") or postfix.get("milter_command_timeout", service)
    if seconds(limit) <= ours.deadline:
        yield critical(
            f"{where}: command_timeout is {limit}, our deadline {ours.deadline:g} s",
            "Postfix gives up before the verdict of a slow moment, and takes the default action",
            "main.cf: command_timeout=30s within the braces, or a shorter milter.deadline",
        )


def _macros(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    asking = [it for it in _smtpds(postfix) if _ours(postfix, "smtpd_milters", it, ours)]
    for place, macros in postfix.values("milter_rcpt_macros", asking).items():
        if macros and "{rcpt_mailer}" not in macros:
            yield critical(
                f"{place}: milter_rcpt_macros lacks {{rcpt_mailer}}",
                "every recipient looks as if it had not come by SMTP, and nobody is refused",
                f"{place}: remove milter_rcpt_macros; the default has it",
            )


def _recipients(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    for domains, maps, transport in _CLASSES:
        ours_there = _ours_in(postfix, domains, ours)
        if not ours_there:
            continue
        shown = ", ".join(ours_there)
        for place, value in postfix.values(maps, _smtpds(postfix)).items():
            yield from _maps(value, f"{place}: {maps}", shown)
        mailer = postfix.get(transport).partition(":")[0]
        if mailer and mailer not in ours.mailers:
            yield critical(
                f"main.cf: {transport} is {mailer!r}, which is not among milter.mailers",
                f"recipients in {shown} pass unseen",
                f"autocreate.toml: add {mailer!r} to milter.mailers",
            )
    yield from _unverified(postfix)
    known = {word for domains, _, _ in _CLASSES for word in _words(postfix.get(domains))}
    if not any(map(_is_table, known)):
        known.update(_words(postfix.get("virtual_alias_domains")))
        for domain in sorted(ours.domains - known - {ANY_DOMAIN}):
            yield warning(
                f"{domain} is in none of virtual_mailbox_domains, mydestination, relay_domains, "
                "virtual_alias_domains",
                "this Postfix does not deliver for it, so our milter passes its recipients untouched",
                f"main.cf: virtual_mailbox_domains = {domain}, or remove it from milter.domains",
            )


def _unverified(postfix: Postfix) -> Iterator[Finding]:
    waits = [it for it in _smtpds(postfix) if postfix.get("smtpd_delay_reject", it) != "no"]
    for name in _AT_RECIPIENT:
        services = waits if name in _WAITING else _smtpds(postfix)
        for place, value in postfix.values(name, services).items():
            if "reject_unverified_recipient" in value:
                yield warning(
                    f"{place}: {name} has reject_unverified_recipient",
                    "Postfix asks Cyrus itself before the milter is asked, and refuses new users",
                    f"{place}: remove it for our domains; the milter verifies them",
                )


def _aliases(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    if ours.has_aliases:
        return
    parameters = ["virtual_alias_maps"]
    if _ours_in(postfix, "mydestination", ours):
        parameters.append("alias_maps")
    for parameter in parameters:
        if value := postfix.get(parameter):
            yield critical(
                f"main.cf: {parameter} = {value}, and our configuration has no [aliases]",
                "an alias in one of our domains is a user whom no account source knows, and is refused",
                "autocreate.toml: what `autocreate aliases detect` prints",
            )


def _origin(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    origin = postfix.get("myorigin").lower()
    is_known = bool(origin) and not origin.startswith("/")
    if is_known and ours.alias_origins - {origin} and postfix.get("append_at_myorigin") != "no":
        others = ", ".join(sorted(it or "none" for it in ours.alias_origins - {origin}))
        yield warning(
            f"main.cf: myorigin is {origin!r}, the origin of our tables of aliases: {others}",
            "a bare name in them leads Postfix to another address than us",
            "autocreate.toml: the origin that `autocreate aliases detect` prints",
        )


def _maps(value: str, where: str, domains: str) -> Iterator[Finding]:
    if _ASKS_A_SERVER.search(value):
        yield critical(
            f"{where} asks a server whether the mailbox exists: {value}",
            f"new users in {domains} are refused before any milter is asked",
            f"{where} = (empty); the milter refuses unknown users instead",
        )
    elif value and not value.startswith("static:"):
        yield warning(
            f"{where} = {value}",
            f"who is not in it is refused before any milter is asked, in {domains}",
            f"{where} = (empty), unless it names every account that you have",
        )


def _delimiter(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    theirs = postfix.get("recipient_delimiter")
    if ours.has_aliases and set(theirs) != set(ours.delimiters):
        yield warning(
            f"main.cf: recipient_delimiter is {theirs!r}, milter.recipient_delimiter "
            f"{ours.delimiters!r}",
            "Postfix and we disagree on which alias alias+detail is",
            "autocreate.toml: milter.recipient_delimiter as in main.cf",
        )
    if others := "".join(it for it in dict.fromkeys(theirs) if it != "+"):
        example = f"user{others[0]}detail"
        yield warning(
            f"main.cf: recipient_delimiter has {others!r}, which is none to Cyrus's lmtpd",
            f"unless it is an alias, {example} never reaches user: Cyrus is told it as it stands, and "
            "cuts at + alone",
            f"main.cf: recipient_delimiter = +, unless {example} is always an alias",
        )


def _quotes(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    """Do lmtp(8) and we agree on whether `a..b` is delivered in quotes, which Cyrus takes amiss?"""
    name, lmtps = (
        "lmtp_quote_rfc821_envelope",
        [it for it in postfix.services if it.command == "lmtp"],
    )
    for place, value in postfix.values(name, lmtps).items():
        if value and (value == "yes") != ours.quotes_dots:
            happens = (
                "users such as a..b and dot. are accepted, and Cyrus refuses their mail: it bounces"
                if value == "yes"
                else "users such as a..b and dot. are refused, though Cyrus would take their mail"
            )
            yield critical(
                f"{place}: {name} is {value}, milter.{name} {str(ours.quotes_dots).lower()}",
                happens,
                f"autocreate.toml: milter.{name} = {str(value == 'yes').lower()}",
            )


def _smtpds(postfix: Postfix) -> list[Service]:
    return [it for it in postfix.services if it.command == "smtpd"]


def asks_us(postfix: Postfix, name: str, service: Service | None, ours: MilterSettings) -> bool:
    """Does a list of milters, such as `non_smtpd_milters`, name ours for a service?"""
    return _ours(postfix, name, service, ours) is not None


def _ours(
    postfix: Postfix, name: str, service: Service | None, ours: MilterSettings
) -> Milter | None:
    """Our milter in a list, if the service can reach it there."""
    for milter in milters(postfix.get(name, service)):
        kind, _, where = milter.place.partition(":")
        is_path = kind in ("unix", "local")
        place = f"unix:{seen(postfix, service, where)}" if is_path else milter.place
        if reaches(place, ours.socket) or ours.socket.startswith("fd:"):
            return milter
    return None


def seen(postfix: Postfix, service: Service | None, path: str) -> str:
    """Where a service looks for a Unix socket: below the queue if it is chrooted, or the path not absolute."""
    if path.startswith("/") and not (service and service.is_chrooted):
        return path
    return f"{postfix.get('queue_directory')}/{path.lstrip('/')}"


def _ours_in(postfix: Postfix, domains: str, ours: MilterSettings) -> list[str]:
    """Our domains in a list of Postfix's, sorted. A table in it may have some that our tables have."""
    return sorted(
        it
        for it in _words(postfix.get(domains))
        if ours.domains & {it, ANY_DOMAIN} or (ours.has_domain_tables and _is_table(it))
    )


def _is_table(word: str) -> bool:
    """Does a word of a list of Postfix's name a table or a file with more of the list?"""
    return ":" in word or word.startswith("/")


def _names(value: str, socket: str) -> bool:
    places = (milter.place.replace("local:", "unix:", 1) for milter in milters(value))
    return any(reaches(place, socket) for place in places)


def _as_postfix_writes(ours: MilterSettings) -> str:
    return "the milter's socket" if ours.socket.startswith("fd:") else ours.socket


def _words(value: str) -> list[str]:
    return [word.lower() for word in re.split(r"[\s,]+", value) if word]
