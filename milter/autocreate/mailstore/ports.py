"""The ports of an IMAP server: which ones a configuration allows, and what secures a connection there. Without I/O."""

from dataclasses import dataclass
from typing import Literal

Tls = Literal["auto", "starttls", "implicit", "none"]

# The registered ports (RFC 9051, RFC 8314): one service, two ways to it.
_IMAP = 143
_IMAPS = 993


@dataclass(frozen=True, slots=True)
class ImapPort:
    """A port, and what secures a connection to it."""

    number: int
    tls: Literal["starttls", "implicit", "none"]

    def __str__(self) -> str:
        security = {"starttls": "STARTTLS", "implicit": "implicit TLS", "none": "no TLS"}
        return f"{security[self.tls]} on port {self.number}"


def default_port(tls: Tls) -> int:
    """The port of a configuration that names none."""
    return _IMAPS if tls == "implicit" else _IMAP


def allowed_ports(tls: Tls, port: int | None) -> tuple[ImapPort, ...]:
    """What a configuration allows, the first choice first. Only `none` allows a connection without TLS.

    `auto` keeps to a port that is neither 143 nor 993: another port may be another server.
    """
    port = port or default_port(tls)
    match tls:
        case "auto" if port == _IMAP:
            return ImapPort(_IMAP, "starttls"), ImapPort(_IMAPS, "implicit")
        case "auto":
            return (ImapPort(port, "implicit" if port == _IMAPS else "starttls"),)
        case _:
            return (ImapPort(port, tls),)
