"""The users of this machine: by name, and those that the milter's processes run as."""

import contextlib
import os
import pwd
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autocreate.doctor.permissions import UnixUser
from autocreate.errors import Temporary

_PACKAGED_USER = "autocreate"  # in our systemd units


def unix_user(name: str) -> UnixUser | None:
    """A user of this machine; None if there is none of that name."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return UnixUser(name, entry.pw_uid, frozenset(os.getgrouplist(name, entry.pw_gid)))


def unix_users(names: Iterable[str]) -> tuple[UnixUser, ...]:
    """The users of some names, without those that do not exist."""
    return tuple(filter(None, map(unix_user, names)))


def running(
    control_sockets: Sequence[Path],
    ask: Callable[[Path], Mapping[str, Any]],
    find: Callable[[str], UnixUser | None] = unix_user,
) -> list[UnixUser]:
    """The users that the running processes say they run as.

    If none runs, it is the user of our systemd units, if that exists.

    Args:
        ask: see `Tools.ask_process`.
        find: see `unix_user`.
    """
    found = {}
    for path in control_sockets:
        with contextlib.suppress(Temporary, ValueError):
            answer = ask(path)
            uid = answer["uid"]
            found[uid] = UnixUser(_name(uid), uid, frozenset(answer["gids"]))
    if control_sockets and not found and (installed := find(_PACKAGED_USER)):
        return [installed]
    return list(found.values())


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
