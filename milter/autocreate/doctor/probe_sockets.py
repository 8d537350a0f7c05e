"""Connects to a socket: does a program listen there, and may its callers connect?"""

import contextlib
import socket
import stat
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from autocreate.doctor.endpoints import Endpoint
from autocreate.doctor.findings import Finding, critical, warning
from autocreate.doctor.permissions import PathEntry, obstacle

_TIMEOUT = 10.0  # seconds for an answer that a milter gives at once

# SMFIC_OPTNEG of version 6, which offers every action and step; and SMFIC_QUIT. See mfdef.h.
_NEGOTIATE = struct.pack(">IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)
_QUIT = struct.pack(">Ic", 1, b"Q")


def examine(endpoint: Endpoint) -> Iterator[Finding]:
    """Check a socket. One that systemd holds (`fd:N`) cannot be found from outside."""
    if endpoint.is_inherited:
        return
    where = f"{endpoint.key} ({endpoint.place})"
    try:
        client = _connected(endpoint)
    except PermissionError as error:
        yield warning(
            f"no permission to connect to {where}: {error.strerror}",
            f"whether a program listens there was not checked; if none does, {endpoint.matters}",
            "run this as root",
        )
        return
    except OSError as error:
        yield critical(
            f"nobody listens at {where}: {error.strerror or error}",
            endpoint.matters,
            f"systemctl start {endpoint.unit}, and read its log: journalctl -u {endpoint.unit}",
        )
        return
    with contextlib.closing(client):
        if endpoint.speaks_milter and not _is_milter(client):
            yield critical(
                f"the program that listens at {where} does not answer as a milter within {_TIMEOUT:g} s",
                endpoint.matters,
                f"if it is the milter, it hangs: systemctl restart {endpoint.unit}; "
                f"if not, change {endpoint.key}",
            )
    if endpoint.place.startswith("unix:"):
        yield from _rights(endpoint)


def path_entries(path: Path) -> Sequence[PathEntry]:
    """Every folder above a file, from the root on, and the file itself.

    Raises:
        OSError: one is missing, or there is no permission to see it.
    """
    resolved = path.resolve(strict=True)
    found = []
    for step in (*reversed(resolved.parents), resolved):
        status = step.stat()
        found.append(
            PathEntry(str(step), status.st_mode, status.st_uid, status.st_gid, step != resolved)
        )
    return found


def _rights(endpoint: Endpoint) -> Iterator[Finding]:
    try:
        path = path_entries(Path(endpoint.place.removeprefix("unix:")))
    except OSError:  # the socket was removed just now
        return
    for caller in endpoint.callers:
        if entry := obstacle(path, caller):
            missing = "enter that folder" if entry.is_folder else "write to that socket"
            mode = stat.S_IMODE(entry.mode)
            yield critical(
                f"{entry.path} has mode {mode:04o}: user {caller.name} may not {missing}",
                f"it cannot connect to {endpoint.key}; {endpoint.matters}",
                endpoint.remedy,
            )


def _connected(endpoint: Endpoint) -> socket.socket:
    family, _, where = endpoint.place.partition(":")
    if family == "inet":
        host, _, port = where.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), _TIMEOUT)
    kind = socket.SOCK_DGRAM if endpoint.is_datagram else socket.SOCK_STREAM
    client = socket.socket(socket.AF_UNIX, kind)
    try:
        client.settimeout(_TIMEOUT)
        client.connect(where)
    except BaseException:
        client.close()
        raise
    return client


def _is_milter(client: socket.socket) -> bool:
    """Does it answer the negotiation that an MTA begins with?"""
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
