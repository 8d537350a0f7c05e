"""Sockets that one program listens at and others connect to: who, and what it matters. No I/O."""

import ipaddress
from dataclasses import dataclass
from typing import NamedTuple

from autocreate.doctor.permissions import UnixUser

UNDELIVERED = "accepted mail is not delivered: it waits in Postfix's queue"
LMTPD_NOT_ASKED = "mail is accepted without asking lmtpd, as without [lmtp]"

_LOCAL = frozenset({"127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A socket that somebody has to be able to connect to.

    Args:
        key: the setting that names it, for messages.
        place: "unix:/path", "inet:HOST:PORT" or "fd:N".
        callers: the users who connect to it.
        matters: what happens if they cannot.
        remedy: what to change if its mode or its folders keep them out.
        unit: the systemd unit that listens there.
        speaks_milter: a milter has to answer there.
        is_datagram: it is a Unix datagram socket.
    """

    key: str
    place: str
    callers: tuple[UnixUser, ...]
    matters: str
    remedy: str
    unit: str
    speaks_milter: bool = False
    is_datagram: bool = False

    @property
    def is_inherited(self) -> bool:
        """Does systemd hold the socket? Then it cannot be found from outside."""
        return self.place.startswith("fd:")


def milter_endpoint(place: str, callers: tuple[UnixUser, ...]) -> Endpoint:
    """The milter's own socket.

    Args:
        callers: the users that the MTAs of this machine connect as.
    """
    return Endpoint(
        "milter.socket",
        place,
        callers,
        matters="the MTA defers (451) all mail until it can connect to the milter",
        remedy='autocreate.toml: milter.socket_group = "postfix"; for a folder: chgrp postfix and '
        "chmod 2750, as in contrib/postfix/README.md",
        unit="autocreate-milter",
        speaks_milter=True,
    )


def socketmap_endpoint(place: str, callers: tuple[UnixUser, ...]) -> Endpoint:
    """Where the MTA asks whether a recipient exists."""
    return Endpoint(
        "socketmap.socket",
        place,
        callers,
        matters="an MTA whose recipient maps name it defers (451) all mail",
        remedy='autocreate.toml: socketmap.socket_group = "postfix"; for a folder: chgrp postfix and '
        "chmod 2750, as in contrib/postfix/README.md",
        unit="autocreate-milter",
    )


def login_endpoint(place: str, callers: tuple[UnixUser, ...]) -> Endpoint:
    """Where Cyrus sends passwords."""
    return Endpoint(
        "login.socket",
        place,
        callers,
        matters="nobody can log in to a Cyrus that checks passwords there",
        remedy='autocreate.toml: login.socket_group = "mail", the group of the Cyrus user; '
        "for a folder: chmod o+x",
        unit="autocreate-login",
    )


def notify_endpoint(place: str, callers: tuple[UnixUser, ...]) -> Endpoint:
    """Where Cyrus sends notifications."""
    return Endpoint(
        "login.notify_socket",
        place,
        callers,
        matters="this program is not notified of logins and deleted mailboxes",
        remedy='autocreate.toml: login.socket_group = "mail", the group of the Cyrus user; '
        "for a folder: chmod o+x",
        unit="autocreate-login",
        is_datagram=True,
    )


def delivery_endpoint(key: str, place: str, callers: tuple[UnixUser, ...]) -> Endpoint:
    """The socket of lmtpd to which Postfix delivers.

    Args:
        key: the parameter of main.cf that names it.
    """
    return Endpoint(
        key,
        place,
        callers,
        matters=UNDELIVERED,
        remedy="make that user a member of the socket's group (on Debian: adduser postfix mail), and "
        "restart Postfix",
        unit="cyrus-imapd",
    )


def lmtpd_endpoint(place: str, callers: tuple[UnixUser, ...]) -> Endpoint:
    """The socket of lmtpd that the milter asks.

    Args:
        callers: the users that the milter runs as.
    """
    return Endpoint(
        "lmtp.address",
        place,
        callers,
        matters=LMTPD_NOT_ASKED,
        remedy="make that user a member of the socket's group (on Debian: adduser autocreate mail), and "
        "restart autocreate-milter",
        unit="cyrus-imapd",
    )


class _Port(NamedTuple):
    hosts: frozenset[str]
    number: str


def reaches(place: str, listening: str) -> bool:
    """Does a program that connects to one place reach the program that listens at another?

    Host names are not looked up.

    Args:
        place: where the one connects to: "unix:/path" or "inet:HOST:PORT".
        listening: where the other listens. 0.0.0.0 and [::] are every address of the host.
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
