"""Does [lmtp] match how the MTA delivers to Cyrus's lmtpd? See lmtp(8), generic(5)."""

import re
from collections.abc import Iterator, Sequence

from autocreate.doctor.findings import Finding, MilterSettings, advice, critical, warning
from autocreate.doctor.postconf import Postfix
from autocreate.doctor.postfix_routes import Route, ends

_NOT_ASKED = (
    "mail that lmtpd refuses is accepted, and bounces: the user is over quota or denied, or the mailbox "
    "was deleted just now"
)

# The mailer's arguments in sendmail.cf: A=FILE /run/cyrus/socket/lmtp, or A=TCP 127.0.0.1 24.
_CYRUSV2 = re.compile(
    r"^Mcyrusv2,(?:.*\n(?=[ \t]))*.*?\bA=(?:FILE[ \t]+(\S+)|TCP[ \t]+(\S+)(?:[ \t]+(\d+))?)", re.M
)


def examine_postfix(
    postfix: Postfix, ours: MilterSettings, routes: Sequence[Route]
) -> Iterator[Finding]:
    """Check Postfix's configuration."""
    found = list(_addresses(postfix, routes))
    if found and ours.frontend:
        yield from _other_frontends(found, ours.frontend)
        if not postfix.get("lmtp_reply_filter"):
            yield warning(
                "main.cf has no lmtp_reply_filter, and Cyrus is a Murder",
                "a frontend says 550 about a user who is being moved, and accepted mail bounces",
                "main.cf: lmtp_reply_filter = regexp:/etc/postfix/murder_replies, with "
                "contrib/postfix/murder_replies there",
            )
    if found and not ours.lmtp:
        yield _missing(*found[0])
    if found and ours.default_domain:
        yield from _capitals(postfix.get("lmtp_generic_maps"), ours)


def examine_sendmail(text: str, path: str, ours: MilterSettings) -> Iterator[Finding]:
    """Check the text of a sendmail.cf. Its local mailers send no domain, so capitals do not matter."""
    if match := _CYRUSV2.search(text):
        unix, host, port = match.groups()
        found = f"{path}: Mcyrusv2", f"unix:{unix}" if unix else f"{host}:{port or 24}"
        if ours.frontend:
            yield from _other_frontends([found], ours.frontend)
        if not ours.lmtp:
            yield _missing(*found)


def _other_frontends(found: Sequence[tuple[str, str]], frontend: str) -> Iterator[Finding]:
    """Which socket of this machine belongs to which frontend, its path does not tell."""
    for where, address in found:
        host = address.rpartition(":")[0].strip("[]")
        if not address.startswith("unix:") and host.lower() != frontend.lower():
            yield warning(
                f"{where} delivers to lmtpd at {host}, and cyrus.host is {frontend}",
                "unless these are one server, it may not know a new mailbox yet when the mail comes, "
                "and refuses what was accepted",
                f'autocreate.toml: [cyrus] host = "{host}"; or {frontend} into {where}',
            )


def _missing(where: str, address: str) -> Finding:
    return advice(
        f"{where} delivers to lmtpd at {address}, and autocreate.toml has no [lmtp]",
        _NOT_ASKED,
        f'autocreate.toml: [lmtp] with address = "{address}"; docs/lmtp.md says what it does',
    )


def _addresses(postfix: Postfix, routes: Sequence[Route]) -> Iterator[tuple[str, str]]:
    """Where mail in our domains reaches lmtpd: (setting, address as in lmtp.address)."""
    default_port = postfix.get("lmtp_tcp_port") or "24"
    for transport in ends(routes):
        where, service = transport.place, transport.service
        if "lmtp" not in (transport.name, transport.command):
            continue
        kind, _, rest = transport.nexthop.partition(":")
        if kind == "unix":
            yield where, f"unix:{postfix.socket_path(service, rest)}"
            continue
        place = (rest if kind == "inet" else transport.nexthop).split(",")[0].strip()
        match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\s]+))(?::(\d+))?", place)
        if match:
            host = match[1] or match[2]
            shown = f"[{host}]" if ":" in host else host
            yield where, f"{shown}:{match[3] or default_port}"


def _capitals(maps: str, ours: MilterSettings) -> Iterator[Finding]:
    domain = ours.default_domain
    mapping = f"main.cf: lmtp_generic_maps = inline:{{@{domain}=@{domain}}}"
    if maps and ours.lmtp and not ours.lowers_domains:
        yield advice(
            "main.cf has lmtp_generic_maps, and lmtp.lowercase_domains is not set",
            f"unless lmtpd is Cyrus 3.12 or later, recipients at {domain} in capitals are deferred (451)",
            f"autocreate.toml: lmtp.lowercase_domains = true, if the table has @{domain}",
        )
    elif not maps and ours.lowers_domains:
        yield critical(
            "lmtp.lowercase_domains is set, and main.cf has no lmtp_generic_maps",
            f"Postfix passes {domain} on in capitals, and lmtpd up to Cyrus 3.10 crashes",
            mapping,
        )
    elif not maps:
        yield warning(
            "main.cf has no lmtp_generic_maps, and Cyrus has virtual domains",
            f"lmtpd up to Cyrus 3.10 crashes on mail to {domain} in capitals, which anybody can send",
            f"{mapping} (and each other domain of yours)",
        )
