"""Does Postfix refuse recipients before it asks the milter, or not deliver for them at all?"""

import re
from collections.abc import Iterator, Sequence

from autocreate.doctor.findings import Finding, MilterSettings, critical, warning
from autocreate.doctor.postconf import Postfix, items
from autocreate.doctor.postfix_domains import ADDRESS_CLASSES, is_table
from autocreate.doctor.postfix_routes import Route
from autocreate.doctor.postfix_socketmap import asks_ours
from autocreate.domains.syntax import ANY_DOMAIN

# With these Postfix asks Cyrus itself, where a new user does not exist yet.
_ASKS_A_SERVER = re.compile(r"\b(socketmap|tcp):")

# The restrictions that Postfix evaluates before it asks milters about a recipient. The first three only if
# it delays them until RCPT (smtpd_delay_reject).
_DELAYED = ("smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions")
_AT_RECIPIENT = (*_DELAYED, "smtpd_relay_restrictions", "smtpd_recipient_restrictions")


def examine(postfix: Postfix, ours: MilterSettings, routes: Sequence[Route]) -> Iterator[Finding]:
    """Check recipient maps, restrictions and the list of domains."""
    for address_class in ADDRESS_CLASSES:
        used = [it for it in routes if it.address_class == address_class]
        shown = ", ".join(sorted(domain for route in used for domain in route.domains))
        maps = address_class.recipients
        for place, value in postfix.values(maps, postfix.running("smtpd")).items():
            if used and ours.is_dry_run:
                yield from _no_maps(value, f"{place}: {maps}", shown)
            elif used and not asks_ours(value, postfix, ours):
                yield from _maps(value, f"{place}: {maps}", shown)
                yield from _details(postfix, value, f"{place}: {maps}")
    if not ours.is_dry_run:
        yield from _unverified(postfix)
    yield from _undelivered(postfix, ours, routes)


def _no_maps(value: str, where: str, domains: str) -> Iterator[Finding]:
    """In dry run the site's own maps are what refuses unknown recipients."""
    if not value:
        yield warning(
            f"{where} is empty, and the milter is in dry run",
            f"unknown recipients in {domains} are accepted, and their mail bounces",
            f"{where}: as it was before, until you leave dry run; or leave it now: remove "
            'mode = "dry-run" from autocreate.toml',
        )


def _maps(value: str, where: str, domains: str) -> Iterator[Finding]:
    if _ASKS_A_SERVER.search(value):
        yield critical(
            f"{where} asks a server whether the mailbox exists: {value}",
            f"new users in {domains} are refused before any milter is asked",
            f"{where} = ; the milter refuses unknown users instead; or our own socket map: "
            "docs/socketmap.md",
        )
    elif value and not value.startswith("static:"):
        yield warning(
            f"{where} = {value}",
            f"recipients in {domains} who are not listed there are refused before any milter is asked",
            f"{where} = , unless it lists all accounts",
        )


def _details(postfix: Postfix, value: str, where: str) -> Iterator[Finding]:
    """Postfix looks for user+detail in a map of recipients, and for user only with a delimiter."""
    if value and not postfix.get("recipient_delimiter") and not value.startswith("static:"):
        yield warning(
            f"main.cf: recipient_delimiter is empty, and {where} lists recipients",
            "mail to user+folder is refused before any milter is asked, unless it is listed",
            "main.cf: recipient_delimiter = +",
        )


def _unverified(postfix: Postfix) -> Iterator[Finding]:
    smtpds = postfix.running("smtpd")
    delaying = [it for it in smtpds if postfix.get("smtpd_delay_reject", it) != "no"]
    for name in _AT_RECIPIENT:
        services = delaying if name in _DELAYED else smtpds
        for place, value in postfix.values(name, services).items():
            if "reject_unverified_recipient" in value:
                yield warning(
                    f"{place}: {name} has reject_unverified_recipient",
                    "Postfix asks Cyrus before it asks the milter, and refuses new users",
                    f"{place}: remove it for our domains; the milter verifies them",
                )


def _undelivered(
    postfix: Postfix, ours: MilterSettings, routes: Sequence[Route]
) -> Iterator[Finding]:
    """Domains that Postfix does not deliver for. In a table there may be domains that have aliases only."""
    aliases = [it.lower() for it in items(postfix.get("virtual_alias_domains"))]
    if any(map(is_table, aliases)):
        return
    known = {domain for route in routes for domain in route.domains} | {ANY_DOMAIN, *aliases}
    for domain in sorted(ours.domains - known):
        yield warning(
            f"{domain} is in none of virtual_mailbox_domains, mydestination, relay_domains, "
            "virtual_alias_domains",
            "this Postfix does not deliver for it, so the milter does not check its recipients",
            f"main.cf: virtual_mailbox_domains = {domain}, or remove it from milter.domains",
        )
