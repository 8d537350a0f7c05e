"""[cyrus]: where the server is, and how it writes user ids."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from autocreate.config.imapd import ImapdConfFile
from autocreate.config.murder import Murder
from autocreate.config.types import (
    Domain,
    Host,
    Name,
    ReadableFile,
    Seconds,
    SecretFile,
    Section,
    Switch,
    Whole,
)
from autocreate.mailstore.ports import Tls


class Cyrus(Section):
    """[cyrus]: where the server is, and how it writes user ids."""

    host: Host = "127.0.0.1"
    """The server. With TLS, its certificate must be valid for this name or address."""
    port: Annotated[Whole, Field(gt=0, lt=65536)] | None = None
    """Its IMAP port. Default: 993 with `tls` = `implicit`, otherwise 143."""
    tls: Tls = "auto"
    """How the connection is secured. `auto` uses STARTTLS on port 143, or implicit TLS on port 993 if nothing
    listens on 143 or the server offers no STARTTLS there (Cyrus's default since 3.10.2). If `port` is 993,
    only implicit TLS there is tried; if it is another port, only STARTTLS there. `starttls` and `implicit`
    use that method on `port`. All three verify the certificate and the host name before they send a
    password. Only `none` sends the password unencrypted: use it on loopback only."""
    ca_file: ReadableFile | None = None
    """The certificates to trust, in PEM. Default: the system's."""
    admin: Name = "cyrus"
    """One of the server's `admins`. It also acts as other users (authorization identity of SASL PLAIN)."""
    password_file: SecretFile
    """A file whose first line is the password of `admin`. Others must not be able to read it."""
    connections: Annotated[Whole, Field(ge=1, le=100)] = 4
    """The greatest number of open administrator sessions and, with `sieve` = `managesieve`, of connections to
    that service."""
    timeout: Seconds = 5.0
    """Seconds for the connection and for each answer. Must be less than `milter.deadline`."""
    sieve: Literal["managesieve", "files", "off"] = "managesieve"
    """How Sieve scripts are installed: by ManageSieve; as files in `sievedir`, if Cyrus runs on this machine
    and this process as Cyrus's user; or not at all, whatever policies say."""
    sieve_port: Annotated[Whole, Field(gt=0, lt=65536)] = 4190
    """The server's ManageSieve port. Unless `tls` is `none`, the connection uses STARTTLS, the only method that
    Cyrus's timsieved has. Since Cyrus 3.10.2, imapd.conf must allow it: `sieve_allowstarttls: yes` for the
    service that cyrus.conf calls `sieve`."""
    replication_commands: Literal["auto", "never"] = "auto"
    """Whether Cyrus's replication commands (`SYNCGET` and `SYNCAPPLY`, X-REPLICATION) are used where the server
    offers them to `admin`, which it does not in a Murder. They look at users' mailboxes and subscribe users over
    the administrator's connection, which takes less time. With `never`, and for what is not certain by them
    (shared folders by group), `admin` logs in as the user."""
    cyrus_conf: ReadableFile | None = None
    """Cyrus's cyrus.conf. Needed if `imapd_conf` has options for single services, which begin with a name in
    its section SERVICES. Default: the usual names of services."""
    lmtp_service: str = ""
    """The entry of cyrus.conf that gets the MTA's mail, if several run `lmtpd` and imapd.conf has options for
    single ones (`lmtpunix_autocreate_users`). Default: the first in cyrus.conf."""
    imapd_conf: ImapdConfFile | None = None
    """Cyrus's imapd.conf. Its options are the defaults of the keys below, and its autocreate options (or those
    of the Athens patch) are used as the last policy."""
    admins: tuple[str, ...] = ()
    """Further users, or `group:NAME`, who never get a mailbox and whose logins do not wait for one: the other
    `admins` of imapd.conf, and its `proxyservers`."""
    virtdomains: Literal["off", "userid", "on"] = "off"
    """As in imapd.conf: unless it is `off`, `joe@other.test` and `joe` are two users."""
    defaultdomain: Domain | Literal[""] = ""
    """As in imapd.conf: user ids in this domain are written without `@`."""
    username_tolower: Switch = True
    """As in imapd.conf: a login as `Joe` is for the user `joe`."""
    lmtp_downcase_rcpt: Switch = True
    """As in imapd.conf: mail to `Joe` is for the user `joe`."""
    postuser: str = ""
    """As in imapd.conf: mail to `POSTUSER+FOLDER` is for a shared folder, not for a user."""
    sievedir: str = "/usr/sieve"
    """As in imapd.conf: the directory of Sieve scripts. Used with `sieve` = `files` only."""

    murder: Murder | None = None
    """The other servers, if `host` is a frontend of a Cyrus Murder. See [cyrus.murder]."""

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
