"""What `autocreate doctor` finds, as values, and how grave it is."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum


class Gravity(IntEnum):
    """As in monitoring plugins: the exit status of a check that found it."""

    ADVICE = 0
    WARNING = 1
    CRITICAL = 2


class Cause(StrEnum):
    """What several checks can see: by using it, and in the file that is wrong."""

    ADMINISTRATOR = "administrator"
    MANAGESIEVE = "managesieve"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem.

    Args:
        what: what is wrong, and where.
        why: what it causes.
        remedy: what to write, and in which file.
        cause: None if only one check can see it.
    """

    gravity: Gravity
    what: str
    why: str
    remedy: str
    cause: Cause | None = None


class Part(StrEnum):
    """A part of what is checked: what `--only` can name."""

    CONFIG = "config"
    POSTFIX = "postfix"
    SENDMAIL = "sendmail"
    SOCKETS = "sockets"
    CYRUS = "cyrus"
    LMTP = "lmtp"
    JOURNAL = "journal"
    ACCOUNTS = "accounts"
    TABLES = "tables"
    FILES = "files"


@dataclass(frozen=True, slots=True)
class Checked:
    """What was checked.

    Args:
        subject: in words for the administrator.
        repeats: what is among the findings of a later check, in other words.
    """

    part: Part
    subject: str
    findings: tuple[Finding, ...] = ()
    repeats: tuple[Finding, ...] = ()

    @property
    def gravity(self) -> str:
        """Its gravest finding in one word, in lower case; "ok" if there is none."""
        worst = max((it.gravity for it in (*self.findings, *self.repeats)), default=None)
        return "ok" if worst is None else worst.name.lower()

    def without(self, causes: Container[Cause | None]) -> "Checked":
        """The same with the findings of these causes as repeats."""
        kept = tuple(it for it in self.findings if it.cause not in causes)
        repeats = tuple(it for it in self.findings if it.cause in causes)
        return replace(self, findings=kept, repeats=repeats)


@dataclass(frozen=True, slots=True)
class MilterSettings:
    """What the MTA's configuration has to match: our side of the connection.

    Args:
        socket: where the milter listens: "unix:/path", "inet:HOST:PORT" or "fd:N".
        deadline: seconds until a verdict.
        domains, mailers: of the recipients that the milter checks; `*` among the domains means any.
        delimiters: the characters that begin a detail where aliases are looked up.
        has_aliases: autocreate.toml has tables of aliases.
        has_domain_tables: it has tables of domains.
        alias_styles: how the aliases are looked up, as in their key `style`.
        alias_origins: the `origin` of those tables that are Postfix's own files and maps.
        quotes_dots: autocreate.toml says that the MTA delivers `a..b` in quotes.
        lmtp: the address of lmtpd; empty if it is not asked.
        lowers_domains: autocreate.toml says that the MTA delivers with domains in lower case.
        default_domain: of a Cyrus with virtual domains; else empty.
        is_dry_run: the milter lets every recipient pass.
        socketmap: where our socket map listens; empty if it does not.
        frontend: `cyrus.host`, if that is the frontend of a Murder; empty if there is none.
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
    is_dry_run: bool = False
    socketmap: str = ""
    frontend: str = ""


def critical(what: str, why: str, remedy: str, cause: Cause | None = None) -> Finding:
    """A problem that loses mail, accepts unknown recipients, or stops the milter."""
    return Finding(Gravity.CRITICAL, what, why, remedy, cause)


def warning(what: str, why: str, remedy: str, cause: Cause | None = None) -> Finding:
    """A problem that the administrator may have intended."""
    return Finding(Gravity.WARNING, what, why, remedy, cause)


def advice(what: str, why: str, remedy: str) -> Finding:
    """Not a mistake, but something that could be better."""
    return Finding(Gravity.ADVICE, what, why, remedy)


def each_cause_once(checked: Sequence[Checked]) -> list[Checked]:
    """Each cause as the last check that sees it tells it: the files of a server are read after its use."""
    later: set[Cause | None] = set()
    found = []
    for check in reversed(checked):
        found.append(check.without(later))
        later |= {it.cause for it in check.findings if it.cause}
    return found[::-1]


def exit_status(checked: Iterable[Checked]) -> int:
    """That of the gravest finding, 0 if there is none."""
    return max((int(it.gravity) for check in checked for it in check.findings), default=0)


def first(checked: Iterable[Checked]) -> Finding | None:
    """The finding to begin with: the first of the gravest. None if there is only advice, or nothing."""
    serious = (it for check in checked for it in check.findings if it.gravity)
    return max(serious, key=lambda it: it.gravity, default=None)
