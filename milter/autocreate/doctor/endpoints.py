"""Sockets as configurations write them: does who connects to one place find who listens at another?"""

import ipaddress
from typing import NamedTuple

_LOCAL = frozenset({"127.0.0.1", "::1"})


class _Port(NamedTuple):
    hosts: frozenset[str]
    number: str


def reaches(place: str, listening: str) -> bool:
    """Is it the same socket? No name of a host is looked up.

    Args:
        place: where somebody connects to: "unix:/path" or "inet:HOST:PORT".
        listening: where somebody listens. At 0.0.0.0, or [::], that is at every address of the host.
    """
    if place == listening:
        return True
    theirs, ours = _port(place), _port(listening)
    if theirs is None or ours is None or theirs.number != ours.number:
        return False
    if "::" in ours.hosts:
        return True
    if "0.0.0.0" in ours.hosts:
        return not all(":" in host for host in theirs.hosts)
    return bool(theirs.hosts & ours.hosts)


def _port(place: str) -> _Port | None:
    kind, _, where = place.partition(":")
    if kind not in ("inet", "inet6"):
        return None
    host, _, number = where.rpartition(":")
    host = host.strip("[]").lower()
    if host == "localhost":
        return _Port(_LOCAL, number)
    try:
        return _Port(frozenset({str(ipaddress.ip_address(host))}), number)
    except ValueError:
        return _Port(frozenset({host}), number)
