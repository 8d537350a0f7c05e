"""Can the users that the milter runs as read and write its files, and run its hooks?"""

import grp
import os
import pwd
import subprocess
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from autocreate.doctor.findings import Finding, critical, warning
from autocreate.doctor.permissions import UnixUser

_TEST = "/usr/bin/test"
# Folders that belong to persons: nobody else is to be let in.
_HOMES = {Path("/root"), Path("/home")}
_TIMEOUT = 10.0  # seconds; the file may be on a file server


def can_check(users: Collection[UnixUser]) -> bool:
    """Can this process find out what the users may read? Only root can become another user."""
    return bool(users) and os.geteuid() == 0


def examine(
    users: Iterable[UnixUser],
    files: Iterable[tuple[str, Path]],
    journal: Path | None,
    programs: Iterable[tuple[str, Path]] = (),
) -> Iterator[Finding]:
    """Check what the milter's users may read and write. Only root can; others find nothing.

    Args:
        files: the files that the milter reads, each with the setting that names it.
        journal: the file that it writes, and creates if it is missing; None if there is none.
        programs: what it runs, each with the setting that names it.
    """
    files, programs = list(files), list(programs)
    for user in users:
        for key, path in files:
            yield from _closed(user, key, path.absolute())
        for key, path in programs:
            yield from _unexecutable(user, key, path)
        if journal and journal.parent.is_dir():
            yield from _unwritable(user, journal)


def _closed(user: UnixUser, key: str, path: Path) -> Iterator[Finding]:
    if not _fails(user, "-r", path):
        return
    folders = (it for it in reversed(path.parents) if _fails(user, "-x", it))
    if folder := next(folders, None):
        what = f"{key}: user {user.name} may not enter {folder}, so it cannot read {path}"
        remedy = (
            f"move it to /etc/autocreate, and name it there: {key}"
            if _HOMES & {folder, *folder.parents}
            else f"chmod o+x {folder}"
        )
    else:
        what = f"{key}: user {user.name} may not read {path}"
        remedy = f"chgrp {_group(user)} {path}; chmod g+r {path}"
    yield critical(
        what,
        "the milter, which runs as that user, can neither start with this configuration nor reload it, "
        "though commands work for root",
        remedy,
    )


def _unexecutable(user: UnixUser, key: str, path: Path) -> Iterator[Finding]:
    if not _fails(user, "-x", path):
        return
    folders = (it for it in reversed(path.parents) if _fails(user, "-x", it))
    closed = next(folders, path)
    yield warning(
        f"{key}: user {user.name} may not run {path}"
        + (f", because it may not enter {closed}" if closed != path else ""),
        "the hook fails for each new mailbox, and is tried again until it can be run",
        f"chmod o+x {closed}; or chgrp it to a group of that user, and chmod g+x",
    )


def _unwritable(user: UnixUser, journal: Path) -> Iterator[Finding]:
    # SQLite creates other files in the same folder.
    folder = journal.parent
    needed = [folder, journal] if journal.exists() else [folder]
    path = next((it for it in needed if _fails(user, "-w", it)), None)
    if path is None:
        return
    own = f"{folder}/autocreate"
    elsewhere = (
        f"install -d -o {user.name} -g {_group(user)} -m 750 {own}; autocreate.toml: "
        f'journal.url = "sqlite:///{own}/{journal.name}"'
    )
    if _is_read_only(path):
        what = f"journal.url: {path} is on a read-only file system"
        remedy = "mount it for writing, or choose another folder in journal.url"
    else:
        what = f"journal.url: user {user.name} may not write to {path}"
        # A folder that has anything else in it is not ours to give away.
        is_shared = path == folder and any(
            not it.name.startswith(journal.name) for it in folder.iterdir()
        )
        remedy = elsewhere if is_shared else f"chown {user.name} {path}"
    yield critical(
        what,
        "the milter, which runs as that user, does not start, or cannot record unfinished mailboxes",
        remedy,
    )


def _is_read_only(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _group(user: UnixUser) -> str:
    """The name of a user's own group, as chgrp(1) takes it."""
    try:
        number = pwd.getpwuid(user.uid).pw_gid
    except KeyError:
        number = min(user.gids)
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


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
