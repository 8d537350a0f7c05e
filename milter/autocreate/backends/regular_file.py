"""Opens a file that another user may own: nothing that this user puts in its place can stop or mislead us.

1. It is opened without blocking, and only a regular file counts: no FIFO, device or folder.
2. It is read up to a limit, however large it is or becomes.
3. A link counts only if its owner could read what it leads to; so does an `:include:` in a file that somebody
   else owns. The owner of a file can therefore not make us read, and show, a secret that only we may read.

Postfix reads an :include: file with the rights of whoever names it (deliver_include() in local/include.c),
Sendmail follows no link in a folder that others may write to (include() in recipient.c). We have one user's rights
only, so rule 3 looks at owners and modes.
"""

import errno
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

# Bytes. Three million users or aliases take less, even as lines of passwd(5).
MAX_TABLE = 256 * 1024 * 1024
# 10,000 addresses of the greatest length, which is all that is followed.
MAX_INCLUDE = 4 * 1024 * 1024
MAX_SETTINGS = 1024 * 1024  # of Cyrus's and the MTA's own files, Sieve scripts and passwords

_MAX_LINKS = 40  # as in Linux
_LEAST_READ = 1 << 16  # bytes


class Rules(NamedTuple):
    """What a file must be like.

    Args:
        limit: the greatest number of bytes.
        named_by: the id of the user who chose the path; 0 for the administrator.
        is_for_all: everybody may write to it.
    """

    limit: int = MAX_TABLE
    named_by: int = 0
    is_for_all: bool = True


class Opened(NamedTuple):
    """A file that was read.

    Args:
        data: its content.
        status: of the open file, after it was read.
    """

    data: bytes
    status: os.stat_result


def read_regular(path: str | Path, rules: Rules) -> Opened:
    """The content of a regular file.

    Raises:
        OSError: it cannot be opened or read; or `strerror` says which of the rules it breaks.
    """
    file = _open(str(path), rules.named_by)
    try:
        opened = read_open(file, path, rules.limit)
        if opened.status.st_mode & stat.S_IWOTH and not rules.is_for_all:
            raise OSError(errno.EACCES, "can be written by everybody: chmod o-w it", str(path))
        return opened
    finally:
        os.close(file)


def read_settings(path: str | Path) -> bytes:
    """The content of a file of settings, a script or a secret, which is short.

    Raises:
        OSError: as for `read_regular`.
    """
    return read_regular(path, Rules(MAX_SETTINGS)).data


def read_text(path: str | Path) -> str:
    """`read_settings` as text. What is not UTF-8 in it is replaced."""
    return read_settings(path).decode("utf-8", "replace")


def check_readable(path: str | Path) -> None:
    """Check that a file can be read.

    Raises:
        OSError: as for `read_regular`.
    """
    os.close(_open(str(path), 0))


def read_open(file: int, path: str | Path, limit: int) -> Opened:
    """The content of an open file; see `read_regular`.

    Args:
        file: its descriptor, opened with O_NONBLOCK.
        path: for messages.
    """
    size = require_regular(os.fstat(file), path).st_size
    pieces = []
    if size <= limit:
        # At once, since copying a large file stops all threads.
        left, most = limit + 1, max(size + 1, _LEAST_READ)
        while left > 0 and (piece := os.read(file, min(left, most))):
            pieces.append(piece)
            left -= len(piece)
        size = limit + 1 - left
    if size > limit:
        raise OSError(errno.EFBIG, f"is larger than {limit:,} bytes, the limit", str(path))
    return Opened(b"".join(pieces), os.fstat(file))


def require_regular(found: os.stat_result, path: str | Path) -> os.stat_result:
    """The status of a file, which must be a regular one.

    Raises:
        OSError: it is not.
    """
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device, a FIFO or a socket"
        raise OSError(errno.EINVAL, f"is not a regular file but {kind}", str(path))
    return found


def _open(path: str, named_by: int) -> int:
    """A descriptor of the file. The way to it is gone step by step, so that the owner of each link is known."""
    users = {named_by}
    folders: list[os.stat_result] = []
    steps = os.path.join(os.getcwd(), path).split("/")[::-1]
    links = 0
    folder = _root()
    try:
        while True:
            step = steps.pop() or "."
            entry = os.open(step, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                found = os.fstat(entry)
                if stat.S_ISLNK(found.st_mode):
                    users.add(found.st_uid)
                    target = os.readlink("", dir_fd=entry)
                    steps += target.split("/")[::-1]
                    if target.startswith("/"):
                        folders.clear()
                        folder = _moved(folder, _root())
                    links += 1
                    if links > _MAX_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                elif steps:
                    folders.append(found)
                    folder = _moved(folder, os.dup(entry))
                else:
                    require_regular(found, path)
                    _require_allowed(path, found, folders, users)
                    return _reopened(path, step, folder, found)
            finally:
                os.close(entry)
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(folder)


def _root() -> int:
    return os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _moved(before: int, now: int) -> int:
    os.close(before)
    return now


def _reopened(path: str, name: str, folder: int, found: os.stat_result) -> int:
    """A descriptor to read the file that was found."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(name, flags, dir_fd=folder)
    if not os.path.samestat(os.fstat(file), found):
        os.close(file)
        raise OSError(errno.EAGAIN, "is replaced while it is opened", path)
    return file


def _require_allowed(
    path: str, found: os.stat_result, folders: Sequence[os.stat_result], users: Iterable[int]
) -> None:
    """Check that each user who chose the file, by a link or by its name, may read it."""
    for user in users:
        may_enter = all(it.st_uid == user or it.st_mode & stat.S_IXOTH for it in folders)
        is_readable = found.st_mode & stat.S_IROTH and may_enter
        if user not in (0, os.geteuid(), found.st_uid) and not is_readable:
            raise OSError(
                errno.EACCES,
                f"is named by user id {user}, by a link or an :include:, who may not read it; "
                f"let its owner (user id {found.st_uid}) or root name it",
                path,
            )
