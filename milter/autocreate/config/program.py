"""A program that the configuration has us run."""

import os
import stat
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

_WRITABLE_BY_OTHERS = stat.S_IWOTH
_EXECUTABLE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


def _program(argv: tuple[str, ...]) -> tuple[str, ...]:
    program = argv[0]
    if not program.startswith("/"):
        raise ValueError(f"{program!r} has no path; write all of it, like /usr/local/lib/...")
    if any("\0" in word for word in argv):
        raise ValueError("has a NUL character")
    try:
        found = os.stat(program)
    except OSError as error:
        raise ValueError(f"cannot run {program}: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"cannot run {program}: it is not a regular file")
    if not found.st_mode & _EXECUTABLE:
        raise ValueError(f"cannot run {program}: it is not executable: chmod +x {program}")
    for place in (Path(program), *Path(os.path.realpath(program)).parents, Path(program).resolve()):
        mode = place.stat().st_mode
        # Below a folder like /tmp only an entry's owner can replace it.
        if mode & _WRITABLE_BY_OTHERS and not (mode & stat.S_ISVTX and place.is_dir()):
            raise ValueError(f"{place} can be written by everybody: chmod o-w {place}")
    return argv


Program = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_program)]
