"""[cyrus]: where the server is, and how it spells users."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from autocreate.config.imapd import ImapdConfFile
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
