"""Our sockets, as those who are to connect to them find them: does somebody listen, and may they come in?"""

import contextlib
import os
import pwd
import socket
import stat
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocreate.doctor.findings import Finding, critical, warning
from autocreate.doctor.permissions import PathEntry, UnixUser, obstacle

_TIMEOUT = 10.0  # seconds for an answer that takes a milter none

# SMFIC_OPTNEG of version 6, with every action and step on offer; and SMFIC_QUIT. See mfdef.h.
_NEGOTIATE = struct.pack(">IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)
_QUIT = struct.pack(">Ic", 1, b"Q")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A socket of ours.

    Args:
        key: what the configuration calls it.
        place: "unix:/path", "inet:HOST:PORT" or "fd:N".
        callers: whoever connects to it.
        matters: what happens to them if they cannot.
        remedy: what lets them in, if it is a matter of rights.
        speaks_milter: a milter is to answer there.
        kind: of a Unix socket.
    """

    key: str
    place: str
    callers: tuple[UnixUser, ...]
    matters: str
    remedy: str
    unit: str
    speaks_milter: bool = False
    kind: socket.SocketKind = socket.SOCK_STREAM


def examine(door: Endpoint) -> Iterator[Finding]:
    """Everything found. A socket that systemd keeps (`fd:N`) cannot be found from here."""
    if door.place.startswith("fd:"):
        return
    where = f"{door.key} ({door.place})"
    try:
        client = _connected(door)
    except PermissionError as error:
        yield warning(
            f"whether anybody listens at {where} cannot be seen: {error.strerror}",
            "if nobody does, " + door.matters,
            "run this as root",
        )
        return
    except OSError as error:
        yield critical(
            f"nobody listens at {where}: {error.strerror or error}",
            door.matters,
            f"systemctl start {door.unit}, and look at its log: journalctl -u {door.unit}",
        )
        return
    with contextlib.closing(client):
        if door.speaks_milter and not _is_milter(client):
            yield critical(
                f"who listens at {where} does not answer as a milter within {_TIMEOUT:g} s",
                door.matters,
                f"if it is ours, it hangs: systemctl restart {door.unit}; "
                f"if not, give {door.key} another place",
            )
    if door.place.startswith("unix:"):
        yield from _rights(door)


def person(name: str) -> UnixUser | None:
    """A user of this machine, or None if there is none of that name."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return UnixUser(name, entry.pw_uid, frozenset(os.getgrouplist(name, entry.pw_gid)))


def way_to(path: Path) -> Sequence[PathEntry]:
    """Every folder on the way to a file, from the root, and the file itself.

    Raises:
        OSError: one is missing, or cannot be looked at.
    """
    resolved = path.resolve(strict=True)
    found = []
    for step in (*reversed(resolved.parents), resolved):
        status = step.stat()
        found.append(
            PathEntry(str(step), status.st_mode, status.st_uid, status.st_gid, step != resolved)
        )
    return found


def _rights(door: Endpoint) -> Iterator[Finding]:
    try:
        way = way_to(Path(door.place.removeprefix("unix:")))
    except OSError:  # it went away just now
        return
    for caller in door.callers:
        if place := obstacle(way, caller):
            missing = "enter that folder" if place.is_folder else "write to that socket"
            mode = stat.S_IMODE(place.mode)
            yield critical(
                f"{place.path} has mode {mode:04o}: user {caller.name} may not {missing}",
                f"it does not reach {door.key}; {door.matters}",
                door.remedy,
            )


def _connected(door: Endpoint) -> socket.socket:
    family, _, where = door.place.partition(":")
    if family == "inet":
        host, _, port = where.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), _TIMEOUT)
    client = socket.socket(socket.AF_UNIX, door.kind)
    try:
        client.settimeout(_TIMEOUT)
        client.connect(where)
    except BaseException:
        client.close()
        raise
    return client


def _is_milter(client: socket.socket) -> bool:
    """Does it negotiate, as an MTA's milter does first of all?"""
    try:
        client.sendall(_NEGOTIATE)
        answer = _exactly(client, 5)
        client.sendall(_QUIT)
    except OSError:
        return False
    return answer[4:] == b"O"


def _exactly(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more: Any = client.recv(size - len(data))
        if not more:
            break
        data += more
    return data
