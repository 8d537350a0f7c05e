"""The tables of the configuration file, and what must fit together between them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from autocreate.config.accounts import Accounts
from autocreate.config.aliases import Aliases
from autocreate.config.cyrus import Cyrus
from autocreate.config.domains import Domains
from autocreate.config.lmtp import Lmtp
from autocreate.config.login import Login
from autocreate.config.milter import Milter
from autocreate.config.policy import Policy, impossible_folders
from autocreate.config.types import JournalUrl, Section, SocketPath, Tcp
from autocreate.domains.syntax import ANY_DOMAIN


class Journal(Section):
    """[journal]: what is unfinished, and what dry run has seen."""

    url: JournalUrl = "sqlite:////var/lib/autocreate/journal.db"
    """Which database, as SQLAlchemy writes it: SQLite, which makes the file, or a server that several MTAs
    share. While it cannot be used new users get 451 and no mailbox; mail to existing mailboxes is accepted."""


class Log(Section):
    """[log]: how the log is written, and where."""

    to: Literal["stderr", "syslog"] = "stderr"
    """`stderr`, where systemd's journal finds it, with its priorities; or `syslog`, as facility `mail`."""
    socket: SocketPath = Path("/dev/log")
    """Where the syslog daemon listens. What it does not take goes to stderr."""
    format: Literal["text", "json"] = "text"
    """One line an event, or one JSON object a line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged: each level includes those after it."""


class Metrics(Section):
    """[metrics]: figures for Prometheus, from every process that serves. Read at the start only."""

    listen: Tcp | None = None
    """Where they are told, `HOST:PORT` or `:PORT` on loopback, such as `127.0.0.1:9894`; nowhere if it
    is not given. Whoever can reach it can read them."""


class Config(Section):
    """The whole file."""

    milter: Milter
    cyrus: Cyrus
    accounts: Annotated[Mapping[str, Accounts], Field(min_length=1)]
    """Asked in the order written. A recipient is unknown only if all of them say no."""
    domains: Mapping[str, Domains] = {}
    """Tables of our domains, besides the names in `milter.domains`. A domain is ours if any of them has
    it. One that cannot answer gets recipients a temporary error (451) whose domain no other has."""
    aliases: Mapping[str, Aliases] = {}
    """Followed before an account is looked up: whole addresses first, then local parts; in the order
    written where they are alike. Whoever has no alias is an account's user or unknown."""
    policy: tuple[Policy, ...] = ()
    lmtp: Lmtp | None = None
    login: Login | None = None
    journal: Journal = Journal()
    log: Log = Log()
    metrics: Metrics = Metrics()

    @property
    def databases(self) -> Mapping[str, Accounts | Aliases | Domains]:
        """Everything that is asked about recipients, by its key: `accounts.staff`."""
        return {
            f"{kind}.{name}": table
            for kind, tables in (
                ("accounts", self.accounts),
                ("domains", self.domains),
                ("aliases", self.aliases),
            )
            for name, table in tables.items()
        }

    @model_validator(mode="after")
    def _fits_together(self) -> "Config":
        problems = list(_impossible(self))
        if problems:
            raise ValueError("\n".join(problems))
        return self


def _impossible(config: Config) -> Iterator[str]:
    if config.cyrus.timeout >= config.milter.deadline:
        yield (
            f"cyrus.timeout: {config.cyrus.timeout:g} s leaves no time for an answer before "
            f"milter.deadline ({config.milter.deadline:g} s); make it shorter"
        )
    for name, database in config.databases.items():
        timeout = getattr(database, "timeout", 0.0)
        # Whoever shortens the deadline alone need not have thought of every database.
        if "timeout" in database.model_fields_set and timeout >= config.milter.deadline:
            yield (
                f"{name}.timeout: {timeout:g} s leaves no time for an answer before "
                f"milter.deadline ({config.milter.deadline:g} s); make it shorter"
            )
    if config.lmtp and 3 * config.lmtp.timeout >= config.milter.deadline:
        yield (
            f"lmtp.timeout: three times {config.lmtp.timeout:g} s leaves no time for an answer before "
            f"milter.deadline ({config.milter.deadline:g} s); make it shorter"
        )
    yield from _attributes_that_nobody_has(config)
    if config.cyrus.virtdomains != "off" and not config.cyrus.defaultdomain:
        yield "cyrus.defaultdomain: is missing; write the defaultdomain of imapd.conf"
    if config.cyrus.virtdomains == "off" and config.cyrus.defaultdomain:
        yield 'cyrus.defaultdomain: means nothing with virtdomains = "off"; remove it'
    if config.cyrus.sieve == "files":
        yield from _impossible_files(config.cyrus)
    names = [policy.name for policy in config.policy]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"policy: two are named {name!r}; give each its own name"
    yield from _impossible_domains(config)
    if config.cyrus.imapd_conf:
        yield from impossible_folders(config.policy, config.cyrus.imapd_conf)


def _impossible_domains(config: Config) -> Iterator[str]:
    names = set(config.milter.domains)
    if not names and not config.domains:
        yield (
            'milter.domains: is missing; write it like ["example.org"], or have a table of them: '
            "[domains.NAME]"
        )
    if config.aliases and names == {ANY_DOMAIN} and not config.domains:
        yield (
            'milter.domains: "*" does not say in which domains an alias leads to users of ours; name '
            "them beside it, or have a table of them: [domains.NAME]"
        )
    for policy in config.policy:
        if ANY_DOMAIN in policy.domains:
            yield f"policy {policy.name!r}: domains: leave it out for recipients of every domain"
        strange = set(policy.domains) - names - {ANY_DOMAIN}
        if strange and ANY_DOMAIN not in names and not config.domains:
            yield f"policy {policy.name!r}: {sorted(strange)} are not among milter.domains"


def _attributes_that_nobody_has(config: Config) -> Iterator[str]:
    """A column of an SQL query shows only when it is asked; an LDAP attribute must be asked for."""
    sources = config.accounts.values()
    if any(source.type == "sql" for source in sources):
        return
    asked = {it.lower() for source in sources if source.type == "ldap" for it in source.attributes}
    for policy in config.policy:
        for key in ("quota_attribute", "partition_attribute"):
            attribute = getattr(policy, key)
            if attribute and attribute.lower() not in asked:
                yield (
                    f"policy {policy.name!r}: {key}: no source has {attribute!r}; add it to "
                    "`attributes` of an LDAP source"
                )


def _impossible_files(cyrus: Cyrus) -> Iterator[str]:
    if cyrus.imapd_conf is None:
        yield (
            'cyrus.sieve: "files" needs cyrus.imapd_conf, which says where Cyrus keeps scripts; '
            'write it, or "managesieve"'
        )
    elif cyrus.imapd_conf.sieve.use_home:
        yield (
            'cyrus.sieve: "files" cannot be with sieveusehomedir in '
            f"{cyrus.imapd_conf.path}: scripts in home directories belong to their users, and "
            "neither timsieved nor autocreate ever wrote there; set sieveusehomedir to no, or "
            'cyrus.sieve to "off"'
        )
