"""What `autocreate doctor` finds: values, and how grave they are together."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Gravity(IntEnum):
    """As monitoring plugins count: the exit status of a check that found it."""

    ADVICE = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that would bite.

    Args:
        what: what is so, and where.
        why: what happens because of it.
        remedy: what to write, and into which file.
    """

    gravity: Gravity
    what: str
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class MilterSettings:
    """What the MTA's configuration has to fit: our side of the connection.

    Args:
        socket: where the milter listens: "unix:/path", "inet:HOST:PORT" or "fd:N".
        deadline: seconds until a verdict.
        domains, mailers: whose recipients are ours; `*` among the domains means any.
        delimiters: what begins a detail where aliases are looked up.
        has_aliases: our configuration has tables of aliases.
        has_domain_tables: it has tables of domains.
        alias_styles: how they are asked, as in their key `style`.
        alias_origins: the `origin` of those that are Postfix's own files and maps.
        quotes_dots: we take it that the MTA delivers `a..b` in quotes.
        lmtp: where lmtpd is asked; empty if it is not.
        lowers_domains: by our configuration the MTA writes domains in lower case when it delivers.
        default_domain: of a Cyrus with virtual domains; empty without.
    """

    socket: str
    deadline: float
    domains: frozenset[str]
    mailers: frozenset[str]
    delimiters: str
    has_aliases: bool = False
    has_domain_tables: bool = False
    alias_styles: frozenset[str] = frozenset()
    alias_origins: frozenset[str] = frozenset()
    quotes_dots: bool = True
    lmtp: str = ""
    lowers_domains: bool = False
    default_domain: str = ""


def critical(what: str, why: str, remedy: str) -> Finding:
    """A finding that loses mail, lets the unknown in, or keeps us from working."""
    return Finding(Gravity.CRITICAL, what, why, remedy)


def warning(what: str, why: str, remedy: str) -> Finding:
    """A finding that an administrator may have meant."""
    return Finding(Gravity.WARNING, what, why, remedy)


def advice(what: str, why: str, remedy: str) -> Finding:
    """A finding that is no mistake: something that could be better."""
    return Finding(Gravity.ADVICE, what, why, remedy)


def gravest(findings: Iterable[Finding]) -> int:
    """0 if there is none, else the gravest as an exit status."""
    return max((int(finding.gravity) for finding in findings), default=0)
