"""Checks of sendmail.cf. See the Sendmail Operations Guide, section 5.11."""

import re
from collections.abc import Iterator, Sequence

from autocreate.aliases.detect import sendmail_style
from autocreate.aliases.keys import Style
from autocreate.doctor.endpoints import reaches
from autocreate.doctor.findings import Finding, MilterSettings, critical, warning
from autocreate.doctor.permissions import PathEntry

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DEFAULT_REPLY_TIMEOUT = 10.0  # seconds
_LOCAL_STYLES = {style.value for style in Style if style.has_local_parts}


def examine(text: str, path: str, ours: MilterSettings) -> list[Finding]:
    """Check the text of a sendmail.cf.

    Args:
        path: its name, for messages.
    """
    filters = dict(re.findall(r"(?m)^X(\w+),\s*(.*)$", text))
    used = re.findall(r"(?m)^O\s*InputMailFilters=(.*)$", text)
    asked = (name.strip() for line in used for name in re.split(r"[,;]", line))
    for name in dict.fromkeys(asked):
        equates = dict(re.findall(r"\b([SFT])=([^,]*)", filters.get(name, "")))
        if _same(equates.get("S", ""), ours.socket) or ours.socket.startswith("fd:"):
            return [
                *_filter(name, equates, path, ours),
                *_asks_cyrus(text, path),
                *_aliases(text, path, ours),
            ]
    return [
        critical(
            f"{path}: no input mail filter uses the milter's socket {ours.socket}",
            "no recipient is verified and no mailbox is created",
            "sendmail.mc: the INPUT_MAIL_FILTER line of contrib/sendmail/autocreate.mc",
        )
    ]


def examine_path(path: Sequence[PathEntry], ours: MilterSettings) -> Iterator[Finding]:
    """Does Sendmail call the path of our socket unsafe? See safefile() with SFF_SAFEDIRPATH.

    Args:
        path: every folder from the root on, and the socket.
    """
    for entry in path:
        if entry.is_folder and entry.mode & 0o002:
            yield critical(
                f"others may write to {entry.path}, and the milter's socket {ours.socket} is below it",
                "Sendmail calls the socket unsafe: it defers (451) all mail, and does not restart",
                'autocreate.toml: milter.socket = "unix:/run/autocreate/milter.sock", and the same '
                "in sendmail.mc",
            )
            return


def _filter(
    name: str, equates: dict[str, str], path: str, ours: MilterSettings
) -> Iterator[Finding]:
    action = equates.get("F", "").strip()
    if action != "T":
        happens = (
            "mail is refused permanently (5xx) while the milter is down"
            if action == "R"
            else "while the milter is down all recipients are accepted, unknown ones too"
        )
        yield critical(
            f"{path}: filter {name} has {f'F={action}' if action else 'no F='}",
            happens,
            f"sendmail.mc: F=T in the INPUT_MAIL_FILTER line of {name}",
        )
    match = re.search(r"\bR:(\d{1,20})([smhd]?)", equates.get("T", ""))
    limit = int(match[1]) * _UNITS[match[2] or "s"] if match else _DEFAULT_REPLY_TIMEOUT
    if limit <= ours.deadline:
        yield critical(
            f"{path}: filter {name} has {limit:g} s for a reply, milter.deadline is "
            f"{ours.deadline:g} s",
            "Sendmail does not wait for a slow verdict",
            f"sendmail.mc: T=R:{ours.deadline + 2:g}s or more, or a shorter milter.deadline",
        )


def _asks_cyrus(text: str, path: str) -> Iterator[Finding]:
    """Does a rule set ask Cyrus's smmapd(8), as FEATURE(`ckuser_cyrus') of Cyrus's own guide does?"""
    for match in re.finditer(r"(?m)^K(\w+)[ \t]+socket[ \t].*smmap.*$", text):
        yield critical(
            f"{path}: map {match[1]} asks Cyrus whether the mailbox exists: {match[0]}",
            "new users are refused before any milter is asked",
            "sendmail.mc: remove FEATURE(`ckuser_cyrus'), or the rules that use this map; the milter "
            "refuses unknown users instead",
        )


def _aliases(text: str, path: str, ours: MilterSettings) -> Iterator[Finding]:
    match = re.search(r"(?m)^O\s*AliasFile\s*=\s*(.*)$", text)
    if match and not ours.has_aliases:
        yield critical(
            f"{path}: AliasFile={match[1]}, and autocreate.toml has no [aliases]",
            "no account source knows an alias, so mail to aliases in our domains is refused",
            "autocreate.toml: what `autocreate aliases detect` prints",
        )
    theirs = sendmail_style(text)
    if match and ours.alias_styles & _LOCAL_STYLES and theirs not in ours.alias_styles:
        yield warning(
            f"{path}: Sendmail looks aliases up with style {theirs or 'none'!r}, autocreate.toml has "
            f"{', '.join(sorted(ours.alias_styles & _LOCAL_STYLES))}",
            "Sendmail and the milter find different aliases for alias+detail",
            f'autocreate.toml: style = "{theirs}" in the table of AliasFile'
            if theirs
            else "autocreate.toml: remove the table of AliasFile",
        )


def _same(place: str, socket: str) -> bool:
    """Is a socket as Sendmail writes it the milter's?"""
    kind, _, where = place.strip().partition(":")
    if kind in ("inet", "inet6"):
        port, _, host = where.partition("@")
        return reaches(f"inet:{host}:{port}", socket)
    return socket == f"unix:{where if kind in ('local', 'unix') else place.strip()}"
