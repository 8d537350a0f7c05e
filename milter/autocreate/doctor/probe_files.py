"""Files that root can read, and the user that we run as cannot."""

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from autocreate.doctor.findings import Finding, critical
from autocreate.doctor.permissions import UnixUser

_TEST = "/usr/bin/test"
_TIMEOUT = 10.0  # seconds, though the file be on a server


def examine(
    persons: Iterable[UnixUser], files: Iterable[tuple[str, Path]], journal: Path | None
) -> Iterator[Finding]:
    """What is closed to those whom we run as. Only root can see that; of others nothing is found.

    Args:
        files: what we read: where the configuration names it, and the file.
        journal: the file that we write, and make if it is not there; None if it is none.
    """
    files = list(files)
    for person in persons:
        for key, path in files:
            yield from _closed(person, key, path.absolute())
        if journal and journal.parent.is_dir():
            yield from _unwritable(person, journal)


def _closed(person: UnixUser, key: str, path: Path) -> Iterator[Finding]:
    if not _fails(person, "-r", path):
        return
    folders = (it for it in reversed(path.parents) if _fails(person, "-x", it))
    if folder := next(folders, None):
        what = f"{key}: user {person.name} may not enter {folder}, and so not read {path}"
        remedy = f"chmod o+x {folder}; or chgrp it to one of that user's groups, and chmod g+x"
    else:
        what = f"{key}: user {person.name} may not read {path}"
        remedy = (
            f"chown {person.name} {path}; or chgrp it to one of that user's groups, and chmod g+r"
        )
    yield critical(
        what,
        "as that user our milter does not start on this configuration, nor reload it, though root's "
        "commands work",
        remedy,
    )


def _unwritable(person: UnixUser, journal: Path) -> Iterator[Finding]:
    # SQLite writes other files beside it.
    needed = [journal.parent, journal] if journal.exists() else [journal.parent]
    if place := next((it for it in needed if _fails(person, "-w", it)), None):
        yield critical(
            f"journal.url: user {person.name} may not write to {place}",
            "as that user our milter does not start, or cannot note what is unfinished",
            f"chown {person.name} {place}",
        )


def _fails(person: UnixUser, test: str, path: Path) -> bool:
    """Does test(1) of a file fail as a person? False too if we cannot become that person."""
    if person.uid == 0:
        return False
    try:
        done = subprocess.run(
            [_TEST, test, str(path)],
            user=person.uid,
            group=min(person.gids),
            extra_groups=sorted(person.gids),
            cwd="/",
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 1
