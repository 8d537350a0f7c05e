"""Do maps of recipients refuse users before Postfix asks the milter, or does it not deliver for them at all?"""

import re
from collections.abc import Iterator, Sequence

from autocreate.doctor.findings import Finding, MilterSettings, critical, warning
from autocreate.doctor.postconf import Postfix, Setting, items
from autocreate.doctor.postfix_domains import ADDRESS_CLASSES, is_table
from autocreate.doctor.postfix_routes import Route
from autocreate.doctor.postfix_socketmap import asks_ours
from autocreate.domains.syntax import ANY_DOMAIN

# With these Postfix asks Cyrus itself, where a new user does not exist yet.
_ASKS_A_SERVER = re.compile(r"\b(socketmap|tcp):")


def examine(postfix: Postfix, ours: MilterSettings, routes: Sequence[Route]) -> Iterator[Finding]:
    """Check recipient maps and the list of domains."""
    for address_class in ADDRESS_CLASSES:
        used = [it for it in routes if it.address_class == address_class]
        shown = ", ".join(sorted(domain for route in used for domain in route.domains))
        for maps in postfix.settings(address_class.recipients, postfix.running("smtpd")):
            if used and ours.is_dry_run:
                yield from _no_maps(maps, shown)
            elif used and not asks_ours(maps.value, postfix, ours):
                yield from _maps(maps, shown)
                yield from _details(postfix, maps)
    yield from _undelivered(postfix, ours, routes)


def _no_maps(maps: Setting, domains: str) -> Iterator[Finding]:
    """In dry run the site's own maps are what refuses unknown recipients."""
    if not maps.value:
        yield warning(
            f"{maps.where} is empty, and the milter is in dry run",
            f"unknown recipients in {domains} are accepted, and their mail bounces",
            f"{maps.file}: {maps.name} as it was before, until you leave dry run; or leave it now: remove "
            'mode = "dry-run" from autocreate.toml',
        )


def _maps(maps: Setting, domains: str) -> Iterator[Finding]:
    if _ASKS_A_SERVER.search(maps.value):
        yield critical(
            f"{maps.where} asks a server whether the mailbox exists: {maps.value}",
            f"new users in {domains} are refused before any milter is asked",
            f"{maps.file}: {maps.name} = ; the milter refuses unknown users instead; or our own socket map: "
            "docs/socketmap.md",
        )
    elif maps.value and not maps.value.startswith("static:"):
        yield warning(
            f"{maps.where} = {maps.value}",
            f"recipients in {domains} who are not listed there are refused before any milter is asked",
            f"{maps.file}: {maps.name} = , unless it lists all accounts",
        )


def _details(postfix: Postfix, maps: Setting) -> Iterator[Finding]:
    """Postfix looks for user+detail in a map of recipients, and for user only with a delimiter."""
    delimiter, value = postfix.setting("recipient_delimiter"), maps.value
    if value and not delimiter.value and not value.startswith("static:"):
        yield warning(
            f"{delimiter.where} is empty, and {maps.where} lists recipients",
            "mail to user+folder is refused before any milter is asked, unless it is listed",
            "main.cf: recipient_delimiter = +",
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
