"""Who can reach a Unix socket: by the modes of the folders on the way to it, and by its own (unix(7))."""

from collections.abc import Iterable
from dataclasses import dataclass

_SEARCH, _WRITE = 0o1, 0o2


@dataclass(frozen=True, slots=True)
class UnixUser:
    """A user of this machine, with all of their groups."""

    name: str
    uid: int
    gids: frozenset[int]


@dataclass(frozen=True, slots=True)
class PathEntry:
    """A folder on the way to a socket, or the socket itself: as stat(2) has it."""

    path: str
    mode: int
    uid: int
    gid: int
    is_folder: bool


def obstacle(way: Iterable[PathEntry], person: UnixUser) -> PathEntry | None:
    """The first place that keeps a person from connecting: a folder may not be entered, or the
    socket not be written to. Access control lists are not looked at."""
    for place in way:
        needed = _SEARCH if place.is_folder else _WRITE
        if not _bits(place, person) & needed:
            return place
    return None


def _bits(place: PathEntry, person: UnixUser) -> int:
    """The three bits that count for the person: only the first class that fits is asked (inode(7))."""
    if person.uid == 0:
        return 0o7
    if person.uid == place.uid:
        return place.mode >> 6 & 0o7
    if place.gid in person.gids:
        return place.mode >> 3 & 0o7
    return place.mode & 0o7
