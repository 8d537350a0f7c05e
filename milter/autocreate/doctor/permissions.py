"""Who can reach a Unix socket, by its mode and those of the folders above it (unix(7))."""

from collections.abc import Iterable
from dataclasses import dataclass

_SEARCH, _WRITE = 0o1, 0o2


@dataclass(frozen=True, slots=True)
class UnixUser:
    """A user of this machine, with all groups."""

    name: str
    uid: int
    gids: frozenset[int]


@dataclass(frozen=True, slots=True)
class PathEntry:
    """A folder on the path of a socket, or the socket itself, as in stat(2)."""

    path: str
    mode: int
    uid: int
    gid: int
    is_folder: bool


def obstacle(path: Iterable[PathEntry], user: UnixUser) -> PathEntry | None:
    """The first entry of a path that keeps a user from connecting; None if there is none.

    That is a folder that the user may not enter, or a socket that the user may not write to. Access
    control lists are ignored.
    """
    for entry in path:
        needed = _SEARCH if entry.is_folder else _WRITE
        if not _bits(entry, user) & needed:
            return entry
    return None


def _bits(entry: PathEntry, user: UnixUser) -> int:
    """The three bits that count for the user: those of the first class that matches (inode(7))."""
    if user.uid == 0:
        return 0o7
    if user.uid == entry.uid:
        return entry.mode >> 6 & 0o7
    if entry.gid in user.gids:
        return entry.mode >> 3 & 0o7
    return entry.mode & 0o7
