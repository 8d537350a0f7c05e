"""[login]: create on login, and who knows the passwords."""

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
    """A saslauthd(8), such as Cyrus has asked so far."""

    type: Literal["saslauthd"]
    path: SocketPath = Path("/run/saslauthd/mux")
    """Its socket."""
    timeout: Seconds = 15.0
    """Seconds to wait for its answer."""


class PamUpstream(Section):
    """PAM on this machine, as this process's user may use it."""

    type: Literal["pam"]
    service: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] | None = None
    """The file of /etc/pam.d. If not given, the one named as Cyrus's service: imap, pop, sieve."""
    timeout: Seconds = 15.0
    """Seconds to wait for its answer."""


class ImapUpstream(Section):
    """An IMAP server that lets in by SASL PLAIN who has the right password."""

    type: Literal["imap"]
    host: Host
    """The server. With TLS its certificate must be for this name or address."""
    port: Annotated[Whole, Field(gt=0, lt=65536)] | None = None
    """Its IMAP port. If not given: 993 with `tls` = `implicit`, else 143."""
    tls: Tls = "auto"
    """How the connection is secured, as `cyrus.tls`. `none` sends passwords in clear: on loopback only."""
    ca_file: ReadableFile | None = None
    """The certificates to trust, in PEM; the system's if it is not given."""
    timeout: Seconds = 15.0
    """Seconds for the connection and for each answer."""


Upstream = Annotated[SaslauthdUpstream | PamUpstream | ImapUpstream, Discriminator("type")]


class Login(Section):
    """[login]: create on login. `services` and `deadline` can be reloaded; the rest is read at the start."""

    socket: UnixSocket = "unix:/run/autocreate/login.sock"
    """Where Cyrus asks for passwords (`sasl_saslauthd_path` of imapd.conf): `unix:/path`, or `fd:N`
    for a socket that was inherited. One that systemd holds there is taken as it is."""
    socket_mode: Mode = "0660"
    """The mode of the Unix sockets."""
    socket_group: GroupOfSystem | None = None
    """The group of the Unix sockets: the Cyrus user's, `mail` on Debian."""
    peers: Annotated[tuple[UserOfSystem, ...], Field(validate_default=True)] = ("cyrus", "root")
    """The users of this machine who may ask and notify, whatever the mode lets in: the user that
    Cyrus runs as."""
    upstream: Upstream | None = None
    """Who knows the passwords. Without it nobody is asked for any, and `notify_socket` is all."""
    services: tuple[Literal["imap", "pop3", "sieve"], ...] = ("imap", "pop3", "sieve")
    """Logins to these make mailboxes; to others none."""
    deadline: Seconds = 5.0
    """Seconds that a login waits for its mailbox. After that it goes on without, and the mailbox is
    made in the background."""
    requests: Annotated[Whole, Field(ge=2, le=2000)] = 200
    """How many logins are answered at once. Half as many may wait for a mailbox."""
    notify_socket: UnixSocket | None = None
    """Where Cyrus tells of logins and of mailboxes that go (`notifysocket` of imapd.conf)."""
    notifyd: SocketPath | None = None
    """The socket of a notifyd(8) that is to have every notification too."""
