"""The ways to an IMAP server: which port, and what secures the connection there. A choice, without I/O."""

from dataclasses import dataclass
from typing import Literal

Tls = Literal["auto", "starttls", "implicit", "none"]

# The registered ports (RFC 9051, RFC 8314): one service, two ways to it.
_IMAP = 143
_IMAPS = 993


@dataclass(frozen=True, slots=True)
class Way:
    """A port, and what secures a connection to it."""

    port: int
    tls: Literal["starttls", "implicit", "none"]

    def __str__(self) -> str:
        security = {"starttls": "STARTTLS", "implicit": "implicit TLS", "none": "no TLS"}
        return f"{security[self.tls]} on port {self.port}"


def usual_port(tls: Tls) -> int:
    """The port of a configuration that names none."""
    return _IMAPS if tls == "implicit" else _IMAP


def ways(tls: Tls, port: int | None) -> tuple[Way, ...]:
    """What a configuration allows, the first choice first. Only `none` allows a connection without TLS.

    `auto` keeps to a port that is neither 143 nor 993: another port may be another server.
    """
    port = port or usual_port(tls)
    match tls:
        case "auto" if port == _IMAP:
            return Way(_IMAP, "starttls"), Way(_IMAPS, "implicit")
        case "auto":
            return (Way(port, "implicit" if port == _IMAPS else "starttls"),)
        case _:
            return (Way(port, tls),)
