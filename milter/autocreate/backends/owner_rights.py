"""The rights of the user who owns a folder, for root, who writes into it.

The owner can put a link in the place of any file. Root would follow it, and make or change a file wherever it
leads; with the owner's rights root can do there what the owner can, and no more. Linux has such rights for each
thread (setfsuid(2)), so the rest of the process keeps its own.
"""

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_libc = ctypes.CDLL(None)


class Owner(NamedTuple):
    """A user who decides what is at a path."""

    uid: int
    gid: int


def owner_of(path: str | Path) -> Owner | None:
    """The user, other than root, who decides what is at the path; None if only root does, or if we are not root.

    That is the owner of the first folder or link on the way that is not root's.
    """
    if os.geteuid() != 0:
        return None
    written, real = Path(os.path.abspath(path)), Path(os.path.realpath(path))
    for step in (*reversed(written.parents), written, *reversed(real.parents)):
        try:
            found = os.lstat(step)
        except OSError:
            continue
        is_on_the_way = step != written or stat.S_ISLNK(found.st_mode)
        if is_on_the_way and found.st_uid != 0:
            return Owner(found.st_uid, found.st_gid)
    return None


@contextlib.contextmanager
def rights_of(owner: Owner | None) -> Iterator[None]:
    """Open and make files as this user, in this thread, for as long as the context lasts. None: as ourselves.

    Raises:
        PermissionError: root may not take that user's rights (it lacks CAP_SETUID or CAP_SETGID).
    """
    if owner is None:
        yield
        return
    before = Owner(_now(_libc.setfsuid), _now(_libc.setfsgid))
    try:
        # In this order: the user id takes the capabilities for files away, and gives them back.
        _libc.setfsgid(ctypes.c_uint(owner.gid))
        _libc.setfsuid(ctypes.c_uint(owner.uid))
        if (_now(_libc.setfsuid), _now(_libc.setfsgid)) != owner:
            raise PermissionError(
                errno.EPERM,
                f"root may not take the rights of user id {owner.uid}, who owns its folder",
            )
        yield
    finally:
        _libc.setfsuid(ctypes.c_uint(before.uid))
        _libc.setfsgid(ctypes.c_uint(before.gid))


def _now(setter: "ctypes._NamedFuncPointer") -> int:
    """The id that one of these calls returns if it is asked to set an impossible one."""
    return int(setter(ctypes.c_uint(0xFFFFFFFF))) & 0xFFFFFFFF
