"""The configuration file as a whole: its sections, and what must be consistent between them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from autocreate.backends.message_file import read_message
from autocreate.backends.regular_file import read_settings
from autocreate.config.accounts import Accounts
from autocreate.config.aliases import Aliases
from autocreate.config.cyrus import Cyrus
from autocreate.config.domains import Domains
from autocreate.config.limits import Limits
from autocreate.config.lmtp import Lmtp
from autocreate.config.login import Login
from autocreate.config.milter import Milter
from autocreate.config.policy import Policy, impossible_folders
from autocreate.config.socketmap import SocketMap
from autocreate.config.types import JournalUrl, SecretFile, Section, SocketPath, Tcp, Whole
from autocreate.config.watch import Watch
from autocreate.core.placeholders import OWN
from autocreate.core.sieve_template import names_in_script
from autocreate.domains.syntax import ANY_DOMAIN

_LAST_PORT = 65535


class Journal(Section):
    """[journal]: the record of unfinished work, of what dry run saw, and of statistics."""

    url: JournalUrl = "sqlite:////var/lib/autocreate/journal.db"
    """The database, as an SQLAlchemy URL: SQLite, which creates its file, or a server that several MTAs share
    (PostgreSQL, MySQL, MariaDB). By a server MTAs take turns at a new user, by two connections beside those for its
    rows; by PostgreSQL they also tell each other what their caches are to forget.
    While it is unavailable, new users get 451 and no mailbox; mail to existing mailboxes is accepted. Commands that
    root runs open an SQLite file with the rights of the user who owns its folder."""
    password_file: SecretFile | None = None
    """A file whose first line is the password of the server. Others must not be able to read it."""


class Log(Section):
    """[log]: where the log goes, and its format."""

    to: Literal["stderr", "syslog"] = "stderr"
    """`stderr`, with the priorities that systemd's journal understands; or `syslog`, facility `mail`."""
    socket: SocketPath = Path("/dev/log")
    """The socket of the syslog daemon. Lines that it does not accept go to stderr."""
    format: Literal["text", "json"] = "text"
    """One line of text per event, or one JSON object per line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is logged."""
    unknown_per_minute: Annotated[Whole, Field(ge=0)] = 1000
    """How many lines a minute are logged about recipients that do not exist or are malformed. Further ones are
    counted, and a line a minute has the count and the clients that sent most. The metrics and the report
    count all of them. `0`: every recipient has its line."""


class Metrics(Section):
    """[metrics]: metrics for Prometheus, from every process that serves. Needs a restart."""

    listen: Tcp | None = None
    """Where to serve them: `HOST:PORT`, or `:PORT` for loopback, such as `127.0.0.1:9894`. Everybody who can
    connect can read them. At most 8 connections are served at once, each for 5 seconds. Default: not served."""


class Config(Section):
    """The whole file."""

    milter: Milter
    cyrus: Cyrus
    accounts: Annotated[Mapping[str, Accounts], Field(min_length=1)]
    """Account sources. They are asked in the order of the file. A recipient is unknown only if every source
    answers that the user does not exist."""
    domains: Mapping[str, Domains] = {}
    """Tables of domains whose recipients are verified, besides `milter.domains`. It is enough that one table
    has the domain. If a table cannot answer, recipients get 451 if no other table has their domain."""
    aliases: Mapping[str, Aliases] = {}
    """Alias tables. Aliases are resolved before an account is looked up: tables of whole addresses first, then
    tables of local parts, each in the order of the file. An address without an alias must be an account's."""
    policy: tuple[Policy, ...] = ()
    lmtp: Lmtp | None = None
    socketmap: SocketMap | None = None
    login: Login | None = None
    watch: Watch | None = None
    limits: Limits = Limits()
    journal: Journal = Journal()
    log: Log = Log()
    metrics: Metrics = Metrics()

    @property
    def databases(self) -> Mapping[str, Accounts | Aliases | Domains]:
        """All account sources and tables, by their keys: `accounts.staff`."""
        return {
            f"{kind}.{name}": table
            for kind, tables in (
                ("accounts", self.accounts),
                ("domains", self.domains),
                ("aliases", self.aliases),
            )
            for name, table in tables.items()
        }

    @property
    def unwatched(self) -> list[str]:
        """The keys of account sources that can neither tell what changed nor list their users."""
        return [
            f"accounts.{name}"
            for name, it in self.accounts.items()
            if it.type == "sql" and not (it.changed_query or it.list_query)
        ]

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
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
        # A default timeout is no error: the administrator may have shortened the deadline only.
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
    port = int((config.metrics.listen or ":0").rpartition(":")[2])
    if port + config.milter.processes - 1 > _LAST_PORT:
        yield f"metrics.listen: no port is left for {config.milter.processes} processes; choose a lower one"
    yield from _missing_attributes(config)
    yield from _impossible_murder(config)
    if config.cyrus.virtdomains != "off" and not config.cyrus.defaultdomain:
        yield "cyrus.defaultdomain: is missing; write the defaultdomain of imapd.conf"
    if config.cyrus.virtdomains == "off" and config.cyrus.defaultdomain:
        yield 'cyrus.defaultdomain: has no effect with virtdomains = "off"; remove it'
    if config.cyrus.sieve == "files":
        yield from _impossible_files(config.cyrus)
    names = [policy.name for policy in config.policy]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"policy: two are named {name!r}; give each its own name"
    yield from _impossible_domains(config)
    unwatched = config.unwatched
    if config.watch and len(unwatched) == len(config.accounts):
        yield (
            f"watch: {', '.join(unwatched)} cannot tell which accounts are new; write changed_query, or "
            "list_query"
        )
    if config.cyrus.imapd_conf:
        yield from impossible_folders(config.policy, config.cyrus.imapd_conf)


def _impossible_murder(config: Config) -> Iterator[str]:
    murder = config.cyrus.murder
    backends = set(murder.backends) if murder else set()
    if murder and murder.timeout >= config.milter.deadline:
        yield (
            f"cyrus.murder.timeout: {murder.timeout:g} s leaves no time for an answer before "
            f"milter.deadline ({config.milter.deadline:g} s); make it shorter"
        )
    if murder and config.cyrus.sieve == "files":
        yield 'cyrus.sieve: "files" is for one server; in a Murder write "managesieve", or "off"'
    for policy in config.policy:
        if policy.server and policy.server not in backends:
            yield (
                f"policy {policy.name!r}: server: {policy.server!r} is not among "
                "cyrus.murder.backends; add it there, or remove it here"
            )


def _impossible_domains(config: Config) -> Iterator[str]:
    names = set(config.milter.domains)
    if not names and not config.domains:
        yield (
            'milter.domains: is missing; write it like ["example.org"], or add a table of them: '
            "[domains.NAME]"
        )
    if config.aliases and names == {ANY_DOMAIN} and not config.domains:
        yield (
            'milter.domains: "*" does not say which domains are local when aliases are resolved; list '
            "them too, or add a table of them: [domains.NAME]"
        )
    for policy in config.policy:
        if ANY_DOMAIN in policy.domains:
            yield f"policy {policy.name!r}: domains: leave it out for recipients of every domain"
        unknown = set(policy.domains) - names - {ANY_DOMAIN}
        if unknown and ANY_DOMAIN not in names and not config.domains:
            yield f"policy {policy.name!r}: {sorted(unknown)} are not among milter.domains"


def _missing_attributes(config: Config) -> Iterator[str]:
    """Only LDAP's can be checked: the columns of an SQL query are known only when it runs."""
    sources = config.accounts.values()
    if any(source.type == "sql" for source in sources):
        return
    asked = {it.lower() for source in sources if source.type == "ldap" for it in source.attributes}
    wanted = [
        (f"policy {policy.name!r}: {key}", attribute)
        for policy in config.policy
        for key, attribute in _attributes_of(policy)
    ]
    if config.cyrus.murder and config.cyrus.murder.place_attribute:
        wanted.append(("cyrus.murder.place_attribute", config.cyrus.murder.place_attribute))
    for key, attribute in wanted:
        if attribute.lower() not in asked:
            yield f"{key}: no source has {attribute!r}; add it to `attributes` of an LDAP source"


def _attributes_of(policy: Policy) -> Iterator[tuple[str, str]]:
    """The attributes that a policy uses, each with the key that names it."""
    for key in ("quota_attribute", "partition_attribute", "language_attribute"):
        if attribute := getattr(policy, key):
            yield key, attribute
    names = [("folders", name) for folder in policy.folders for name in folder.placeholders]
    if policy.sieve and policy.sieve_placeholders:
        text = read_settings(str(policy.sieve))
        names += [("sieve", name) for name in names_in_script(text)]
    yield from (pair for pair in dict.fromkeys(names) if pair[1] != "user")
    if policy.welcome:
        message = read_message(policy.welcome)
        yield from (("welcome", name) for name in message.names if name not in OWN)


def _impossible_files(cyrus: Cyrus) -> Iterator[str]:
    if cyrus.imapd_conf is None:
        yield (
            'cyrus.sieve: "files" needs cyrus.imapd_conf, which says where Cyrus keeps scripts; '
            'write it, or "managesieve"'
        )
    elif cyrus.imapd_conf.sieve.use_home:
        yield (
            'cyrus.sieve: "files" does not work with sieveusehomedir in '
            f"{cyrus.imapd_conf.path}: scripts in home directories belong to their users, and "
            "neither timsieved nor autocreate writes there; set sieveusehomedir to no, or "
            'cyrus.sieve to "off"'
        )
