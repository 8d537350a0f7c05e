"""[login]: create mailboxes on login, and which server checks the passwords."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Field

from autocreate.config.types import (
    GroupOfSystem,
    Host,
    Mode,
    ReadableFile,
    Seconds,
    Section,
    SocketPath,
    UnixSocket,
    UserOfSystem,
    Whole,
)
from autocreate.mailstore.ports import Tls


class SaslauthdUpstream(Section):
    """A saslauthd(8), such as the one that Cyrus asked before."""

    type: Literal["saslauthd"]
    path: SocketPath = Path("/run/saslauthd/mux")
    """The path of its socket."""
    timeout: Seconds = 15.0
    """Seconds to wait for an answer."""


class PamUpstream(Section):
    """PAM on this machine, as far as the user of this process may use it."""

    type: Literal["pam"]
    service: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] | None = None
    """The file in /etc/pam.d. Default: the one with the name of Cyrus's service: imap, pop, sieve."""
    timeout: Seconds = 15.0
    """Seconds to wait for an answer."""


class ImapUpstream(Section):
    """An IMAP server that checks passwords by SASL PLAIN."""

    type: Literal["imap"]
    host: Host
    """The server. With TLS, its certificate must be valid for this name or address."""
    port: Annotated[Whole, Field(gt=0, lt=65536)] | None = None
    """Its IMAP port. Default: 993 with `tls` = `implicit`, otherwise 143."""
    tls: Tls = "auto"
    """How the connection is secured: see `cyrus.tls`. `none` sends passwords unencrypted: use it on loopback
    only."""
    ca_file: ReadableFile | None = None
    """The certificates to trust, in PEM. Default: the system's."""
    timeout: Seconds = 15.0
    """Seconds for the connection and for each answer."""


Upstream = Annotated[SaslauthdUpstream | PamUpstream | ImapUpstream, Discriminator("type")]


class Login(Section):
    """[login]: create mailboxes on login. `services` and `deadline` can be reloaded; all other keys need a
    restart."""

    socket: UnixSocket = "unix:/run/autocreate/login.sock"
    """Where Cyrus asks about passwords (`sasl_saslauthd_path` in imapd.conf): `unix:/path`, or `fd:N` for an
    inherited socket. If a systemd .socket unit listens there, its socket is used as it is."""
    socket_mode: Mode = "0660"
    """The mode of the Unix sockets."""
    socket_group: GroupOfSystem | None = None
    """The group of the Unix sockets: that of the Cyrus user, on Debian `mail`."""
    peers: Annotated[tuple[UserOfSystem, ...], Field(validate_default=True)] = ("cyrus", "root")
    """The users of this machine who may connect, whatever `socket_mode` allows: the user that Cyrus runs
    as."""
    upstream: Upstream | None = None
    """The server that checks passwords. Without it, passwords are not checked at `socket`, and only
    `notify_socket` is served."""
    services: tuple[Literal["imap", "pop3", "sieve"], ...] = ("imap", "pop3", "sieve")
    """The services whose logins create mailboxes."""
    deadline: Seconds = 5.0
    """Seconds that a login waits for its mailbox. After that the login succeeds without it, and the mailbox is
    created in the background."""
    requests: Annotated[Whole, Field(ge=2, le=2000)] = 200
    """The greatest number of logins at the same time. Half as many may wait for a mailbox."""
    notify_socket: UnixSocket | None = None
    """Where Cyrus sends notifications of logins and of deleted mailboxes (`notifysocket` in imapd.conf)."""
    notifyd: SocketPath | None = None
    """The socket of a notifyd(8) to which every notification is forwarded."""
