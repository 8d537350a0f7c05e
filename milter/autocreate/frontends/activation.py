"""Sockets that systemd holds for this process and has passed to it (sd_listen_fds(3)).

A socket is used where the configuration names the same place. So whether systemd holds it is decided by
enabling a .socket unit alone.
"""

import os
import socket
from collections.abc import Mapping

_FIRST = 3  # SD_LISTEN_FDS_START


class InheritedSockets:
    """The descriptors that were passed, each to be taken once."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Args:
        environment: LISTEN_PID says for which process they are; a parent's are not ours.
        """
        self._sockets: list[socket.socket] = []
        if environment.get("LISTEN_PID") == str(os.getpid()):
            for descriptor in range(_FIRST, _FIRST + int(environment.get("LISTEN_FDS", "0"))):
                os.set_inheritable(descriptor, False)  # not for the programs that we run
                self._sockets.append(socket.socket(fileno=descriptor))

    def take(self, place: str, kind: socket.SocketKind) -> socket.socket | None:
        """The socket at a place, or None if it was not passed.

        Args:
            place: "unix:/path", "inet:HOST:PORT" or "fd:N".

        Raises:
            OSError: HOST cannot be resolved.
        """
        for held in self._sockets:
            if held.type == kind and _is_at(held, place):
                self._sockets.remove(held)
                return held
        return None

    def left(self) -> list[str]:
        """The places of sockets that were not taken. A client that connects there waits forever."""
        return [_place(held) for held in self._sockets]


def _is_at(held: socket.socket, place: str) -> bool:
    kind, _, rest = place.partition(":")
    match kind:
        case "fd":
            return held.fileno() == int(rest)
        case "unix":
            return held.family == socket.AF_UNIX and held.getsockname() == rest
        case _:
            if held.family not in (socket.AF_INET, socket.AF_INET6):
                return False
            host, _, port = rest.rpartition(":")
            found = socket.getaddrinfo(host.strip("[]"), int(port), held.family, held.type)
            return held.getsockname()[:2] in [address[:2] for *_, address in found]


def _place(held: socket.socket) -> str:
    name = held.getsockname()
    return f"unix:{name}" if held.family == socket.AF_UNIX else f"inet:{name[0]}:{name[1]}"
