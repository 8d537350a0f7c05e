"""Does Postfix reach our socket map, and does the map know all domains that it is asked about?"""

import re
from collections.abc import Iterator

from autocreate.doctor.endpoints import reaches
from autocreate.doctor.findings import Finding, MilterSettings, critical
from autocreate.doctor.postconf import Postfix, Setting, words
from autocreate.doctor.postfix_domains import ADDRESS_CLASSES, is_table
from autocreate.domains.syntax import ANY_DOMAIN

# A table, and whether proxymap(8), which is not chrooted, asks it.
_SOCKET_MAP = re.compile(r"(proxy:)?socketmap:(unix:[^\s,:]+|inet:[^\s,]+:\d+):[^\s,]+")


def asks_ours(value: str, postfix: Postfix, ours: MilterSettings) -> bool:
    """Is our socket map among the tables of a parameter? As Postfix writes it, chrooted or not."""
    return any(_is_ours(match[2], postfix, ours) for match in _SOCKET_MAP.finditer(value))


def examine(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    """Check the recipient maps that name our socket map."""
    smtpds = postfix.running("smtpd")
    chrooted = [it for it in smtpds if it.is_chrooted]
    for address_class in ADDRESS_CLASSES:
        for maps in postfix.settings(address_class.recipients, smtpds):
            if ours.socketmap and asks_ours(maps.value, postfix, ours):
                yield from _foreign(postfix, address_class.domains, maps, ours)
        for maps in postfix.settings(address_class.recipients, chrooted):
            yield from _chroot(postfix, maps, ours)


def _foreign(
    postfix: Postfix, parameter: str, maps: Setting, ours: MilterSettings
) -> Iterator[Finding]:
    """Domains whose recipients nobody knows, if the map is the only one."""
    if len(words(maps.value)) > 1 or ANY_DOMAIN in ours.domains or ours.has_domain_tables:
        return
    named = [it for it in words(postfix.get(parameter)) if not is_table(it)]
    if foreign := sorted(set(named) - ours.domains):
        shown = ", ".join(foreign)
        yield critical(
            f"{maps.where} is our socket map alone, and {parameter} has domains that are not in "
            f"milter.domains: {shown}",
            "all their recipients are refused (550): a map knows the recipients of our domains only",
            f"autocreate.toml: add them to milter.domains, or {maps.file}: a second map "
            "that has their recipients",
        )


def _chroot(postfix: Postfix, maps: Setting, ours: MilterSettings) -> Iterator[Finding]:
    """A map that a chrooted service asks itself. One setting is one finding, whatever services share it.

    The other tables of the list stay in it.
    """
    for match in _SOCKET_MAP.finditer(maps.value):
        path = match[2].removeprefix("unix:")
        if not match[1] and match[2] == ours.socketmap and path.startswith("/"):
            before, after = maps.value[: match.start()], maps.value[match.end() :]
            yield critical(
                f"{maps.where}: smtpd is chrooted and looks for the socket map at "
                f"{postfix.get('queue_directory')}{path}",
                "nothing listens there, so recipients are deferred (451)",
                f"{maps.file}: {maps.name} = {before}proxy:{match[0]}{after}",
            )
            return


def _is_ours(place: str, postfix: Postfix, ours: MilterSettings) -> bool:
    if not ours.socketmap:
        return False
    if ours.socketmap.startswith("fd:"):
        return True  # systemd holds it, and autocreate.toml does not know its place
    if reaches(place, ours.socketmap):
        return True
    path = place.removeprefix("unix:")
    return ours.socketmap == f"unix:{postfix.queue}{path.lstrip('/')}"
