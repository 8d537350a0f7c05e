"""The tables of the configuration file, and what must fit together between them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from autocreate.config.accounts import Accounts
from autocreate.config.aliases import Aliases
from autocreate.config.domains import Domains
from autocreate.config.imapd import ImapdConfFile
from autocreate.config.lmtp import Lmtp
from autocreate.config.login import Login
from autocreate.config.policy import Policy, impossible_folders
from autocreate.config.types import (
    Domain,
    GroupOfSystem,
    Host,
    JournalUrl,
    Mode,
    Name,
    ReadableFile,
    Seconds,
    SecretFile,
    Section,
    Socket,
    SocketPath,
    Switch,
    Tcp,
    Whole,
)
from autocreate.domains.syntax import ANY_DOMAIN
from autocreate.mailstore.ports import Tls


class Milter(Section):
    """[milter]: the socket, and which recipients are ours."""

    socket: Socket = "unix:/run/autocreate/milter.sock"
    """Where to listen: `unix:/path`, `inet:HOST:PORT`, or `fd:N` for a socket that was inherited. One
    that systemd holds at that place (a .socket unit) is taken as it is."""
    socket_mode: Mode = "0660"
    """The mode of a Unix socket."""
    socket_group: GroupOfSystem | None = None
    """The group of a Unix socket: one that the MTA is in, such as `postfix`."""
    control: Path | None = None
    """Where root's commands, and `autocreate login`, reach this process, a Unix socket; beside
    `socket` if not given, and nowhere if that is no path. Read at the start only."""
    mode: Literal["enforce", "dry-run"] = "enforce"
    """`dry-run` lets all mail pass and creates nothing, but logs and records what it would do."""
    domains: tuple[Domain, ...] = ()
    """Our domains, besides those in tables ([domains.NAME]). Recipients elsewhere pass untouched. `*` for
    every recipient who comes with one of `mailers`; with [aliases], names beside it or tables say in
    which domains an alias leads to users of ours."""
    mailers: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "lmtp",
        "cyrusv2",
        "virtual",
        "local",
    )
    """The transports that deliver to Cyrus, as the MTA tells them in `{rcpt_mailer}`. Recipients with
    another one pass untouched, unless `domains` names their domain, or a table of [domains] has it, and
    they have an alias."""
    recipient_delimiter: Annotated[str, Field(pattern=r"^[!-/:-?\[-`{-~]*$")] = "+"
    """Each of these characters begins the detail in `alias+detail`, as in Postfix's parameter of that
    name: it counts when aliases are looked up. A user's detail begins at `+` whatever this says, since
    that is all that Cyrus's lmtpd knows: mail to `joe-lists` is for a user of that name."""
    lmtp_quote_rfc821_envelope: Switch = True
    """As in Postfix's main.cf, where it is `yes` unless you say otherwise: local parts with dots at an end
    or in a row (`a..b`, `dot.`) are delivered in quotes, and Cyrus takes no mail for them. `false` if
    your MTA delivers them without. Sendmail's `cyrusv2` does; its mail is taken whatever this says."""
    deadline: Seconds = 8.0
    """Seconds until a recipient is answered, whatever Cyrus and the databases do. Sendmail gives up
    after 10 seconds unless told otherwise, Postfix after 30."""
    workers: Annotated[Whole, Field(ge=1, le=1000)] = 32
    """How many users are worked on at once."""
    cache_size: Annotated[Whole, Field(ge=1)] = 100_000
    """How many users whose mailboxes stand are remembered, so that their mail costs no look-up."""
    cache_seconds: Seconds = 300.0
    """How long one is remembered, and how long it is that a table has a domain. For so long an account
    that was removed is still accepted."""
    alias_seconds: Seconds = 10.0
    """How long it is remembered whom an address stands for, and that no table has a domain. For so long
    a changed alias or a new domain is not seen."""


class Cyrus(Section):
    """[cyrus]: where the server is, and how it spells users."""

    host: Host = "127.0.0.1"
    """The server. With TLS its certificate must be for this name or address."""
    port: Annotated[Whole, Field(gt=0, lt=65536)] | None = None
    """Its IMAP port. If not given: 993 with `tls` = `implicit`, else 143."""
    tls: Tls = "auto"
    """How the connection is secured. `auto`: STARTTLS on port 143; or implicit TLS on port 993, if nobody
    answers on 143 or the server there offers no STARTTLS (Cyrus's default from 3.10.2 on). If `port` is
    neither of them, only that port is used, with STARTTLS; if it is 993, only that. `starttls` and
    `implicit` use what they say on `port`. These three verify the certificate and the host name, and send
    no password before. Only `none` does without TLS and sends the password in clear: on loopback only."""
    ca_file: ReadableFile | None = None
    """The certificates to trust, in PEM; the system's if it is not given."""
    admin: Name = "cyrus"
    """One of the server's `admins`. It also acts for users (SASL PLAIN's authorization identity)."""
    password_file: SecretFile
    """Its password is the first line of this file, which others must not be able to read."""
    connections: Annotated[Whole, Field(ge=1, le=100)] = 4
    """How many administrator sessions may be open at once; and, with `sieve` = `managesieve`, how many
    connections to that service."""
    timeout: Seconds = 5.0
    """Seconds for the connection and for each answer; less than `milter.deadline`."""
    sieve: Literal["managesieve", "files", "off"] = "managesieve"
    """How users get their Sieve script: by ManageSieve; as files in `sievedir`, if Cyrus runs on this
    machine and this program as Cyrus's user; or not at all, whatever policies say."""
    sieve_port: Annotated[Whole, Field(gt=0, lt=65536)] = 4190
    """The server's ManageSieve port. Unless `tls` is `none`, STARTTLS secures the connection, since Cyrus's
    timsieved knows nothing else. From Cyrus 3.10.2 on, imapd.conf must allow it: `sieve_allowstarttls: yes`
    for the service that cyrus.conf calls `sieve`."""
    cyrus_conf: ReadableFile | None = None
    """Cyrus's cyrus.conf, if `imapd_conf` has options for single services: the names in its SERVICES
    are what such options begin with. The usual names if it is not given."""
    lmtp_service: str = ""
    """The entry of cyrus.conf that the MTA's mail comes by, where several run `lmtpd` and imapd.conf has
    options for single ones (`lmtpunix_autocreate_users`). The first in cyrus.conf if not given."""
    imapd_conf: ImapdConfFile | None = None
    """Cyrus's imapd.conf. What it says counts for every key below that is not given here, and its
    autocreate options (or those of the Athens patch) are a last policy."""
    admins: tuple[str, ...] = ()
    """Further users, or `group:NAME`, who never get a mailbox and whose logins wait for nothing: the
    rest of imapd.conf's `admins`, and its `proxyservers`."""
    virtdomains: Literal["off", "userid", "on"] = "off"
    """As in imapd.conf: unless `off`, `joe@other.test` is another user than `joe`."""
    defaultdomain: Domain | Literal[""] = ""
    """As in imapd.conf: the domain whose users have no `@` in their user id."""
    username_tolower: Switch = True
    """As in imapd.conf: who logs in as `Joe` is `joe`."""
    lmtp_downcase_rcpt: Switch = True
    """As in imapd.conf: mail to `Joe` is for `joe`."""
    postuser: str = ""
    """As in imapd.conf: mail to `POSTUSER+FOLDER` is for a shared folder, and for no user."""
    sievedir: str = "/usr/sieve"
    """As in imapd.conf: where Cyrus keeps scripts; of use with `sieve` = `files` only."""

    @model_validator(mode="after")
    def _as_imapd_conf_says(self) -> "Cyrus":
        if self.imapd_conf is None:
            return self
        for key in ("admins", "virtdomains", "username_tolower", "lmtp_downcase_rcpt", "postuser"):
            self._take(key, getattr(self.imapd_conf, key))
        self._take("sievedir", self.imapd_conf.sieve.directory)
        if self.virtdomains != "off":
            self._take("defaultdomain", self.imapd_conf.defaultdomain)
        return self

    def _take(self, key: str, value: object) -> None:
        if key not in self.model_fields_set:
            self.__dict__[key] = value


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
