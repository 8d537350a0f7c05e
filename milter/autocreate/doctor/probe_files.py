"""Can the users that the milter runs as read and write its files?"""

import os
import subprocess
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from autocreate.doctor.findings import Finding, critical
from autocreate.doctor.permissions import UnixUser

_TEST = "/usr/bin/test"
_TIMEOUT = 10.0  # seconds; the file may be on a file server


def can_check(users: Collection[UnixUser]) -> bool:
    """Can this process find out what the users may read? Only root can become another user."""
    return bool(users) and os.geteuid() == 0


def examine(
    users: Iterable[UnixUser], files: Iterable[tuple[str, Path]], journal: Path | None
) -> Iterator[Finding]:
    """Check what the milter's users may read and write. Only root can; others find nothing.

    Args:
        files: the files that the milter reads, each with the setting that names it.
        journal: the file that it writes, and creates if it is missing; None if there is none.
    """
    files = list(files)
    for user in users:
        for key, path in files:
            yield from _closed(user, key, path.absolute())
        if journal and journal.parent.is_dir():
            yield from _unwritable(user, journal)


def _closed(user: UnixUser, key: str, path: Path) -> Iterator[Finding]:
    if not _fails(user, "-r", path):
        return
    folders = (it for it in reversed(path.parents) if _fails(user, "-x", it))
    if folder := next(folders, None):
        what = f"{key}: user {user.name} may not enter {folder}, so it cannot read {path}"
        remedy = f"chmod o+x {folder}; or chgrp it to a group of that user, and chmod g+x"
    else:
        what = f"{key}: user {user.name} may not read {path}"
        remedy = f"chown {user.name} {path}; or chgrp it to a group of that user, and chmod g+r"
    yield critical(
        what,
        "the milter, which runs as that user, can neither start with this configuration nor reload it, "
        "though commands work for root",
        remedy,
    )


def _unwritable(user: UnixUser, journal: Path) -> Iterator[Finding]:
    # SQLite creates other files in the same folder.
    needed = [journal.parent, journal] if journal.exists() else [journal.parent]
    if path := next((it for it in needed if _fails(user, "-w", it)), None):
        yield critical(
            f"journal.url: user {user.name} may not write to {path}",
            "the milter, which runs as that user, does not start, or cannot record unfinished mailboxes",
            f"chown {user.name} {path}",
        )


def _fails(user: UnixUser, test: str, path: Path) -> bool:
    """Does test(1) of a file fail for a user? False also if we cannot become that user."""
    if user.uid == 0:
        return False
    try:
        done = subprocess.run(
            [_TEST, test, str(path)],
            user=user.uid,
            group=min(user.gids),
            extra_groups=sorted(user.gids),
            cwd="/",
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 1
