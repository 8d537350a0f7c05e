"""Is a file on a file system of this machine, where reading it ends, or may another machine never answer?

A server of NFS that is gone holds whoever looks at a file of its for ever (nfs(5), `hard`).
"""

import os
import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")

# Any other may be another machine's.
_ON_DISKS = ("bcachefs", "btrfs", "ext3", "ext4", "f2fs", "jfs", "reiserfs", "xfs", "zfs")
_OF_THIS_MACHINE = frozenset((*_ON_DISKS, "erofs", "ext2", "overlay", "ramfs", "squashfs", "tmpfs"))


def is_on_this_machine(path: str | Path, mounts: Path = _MOUNTS) -> bool:
    """Is a file, or the place where it is to be, on a file system of this machine?

    It is as the mounts are now. Who keeps the answer must ask again when they may have changed.

    Args:
        mounts: proc_pid_mountinfo(5).
    """
    try:
        text = mounts.read_text("utf-8", "surrogateescape")
    except OSError:
        return False
    kind, longest = "", -1
    real = os.path.realpath(path)
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        place = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4])
        # Of two mounts in one place the later covers the earlier.
        if _is_below(real, place) and len(place) >= longest:
            kind, longest = after.split(" ")[0], len(place)
    return kind in _OF_THIS_MACHINE


def _is_below(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place.rstrip('/')}/")
