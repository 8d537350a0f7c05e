"""Writes files whole or not at all, with the mode and the owner that they have, and keeps a copy of each.

What was changed is in a record (`autocreate.toml.undo`), written before the change, so that an interrupted
change can be taken back too.
"""

import contextlib
import grp
import hashlib
import json
import os
import pwd
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from autocreate.errors import ConfigurationError
from autocreate.setup.values import Change, Folder

_SUFFIX = ".before-autocreate"
_OUR_GROUP = "autocreate"


@dataclass(frozen=True, slots=True)
class Changed:
    """A file or folder that was changed, or commands that were run.

    Args:
        path: of the file or folder; "" for commands.
        backup: the copy of it as it was; "" if it did not exist.
        before, after: checksums; "" for a folder, or for a file that did not exist.
        undo: the commands that put its restoration into effect.
    """

    path: str
    backup: str
    before: str
    after: str
    undo: tuple[str, ...] = ()


class Record:
    """What was changed, in order, in a file.

    Args:
        path: of that file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Changed]:
        """What was changed; nothing if there is no such file.

        Raises:
            ConfigurationError: the file is not a record.
        """
        try:
            rows = json.loads(self._path.read_text())
            return [Changed(**{**row, "undo": tuple(row["undo"])}) for row in rows]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(str(self._path), [f"is not a record: {error}"]) from error

    def add(self, changed: Changed) -> None:
        """Remember a change that is about to be made."""
        self._write([*self.read(), changed])

    def keep(self, changes: Sequence[Changed]) -> None:
        """Remember these alone; none removes the file."""
        if changes:
            self._write(changes)
        else:
            self._path.unlink(missing_ok=True)

    def _write(self, changes: Sequence[Changed]) -> None:
        rows = json.dumps([asdict(it) for it in changes], indent=1)
        _replace(self._path, _bytes(f"{rows}\n"), None, 0o600)


def apply(change: Change, record: Record, undo: tuple[str, ...]) -> Path | None:
    """Change a file. Returns its backup; None if there was no file.

    Raises:
        ConfigurationError: the file is no longer as it was when the change was planned.
        OSError: it cannot be written.
    """
    path = Path(os.path.realpath(change.path))
    before, after = _bytes(change.before), _bytes(change.after)
    exists = path.exists()
    if (path.read_bytes() if exists else b"") != before:
        raise ConfigurationError(change.path, ["was changed meanwhile; run this again"])
    backup = _backup(path) if exists else None
    record.add(
        Changed(
            str(path),
            str(backup or ""),
            _checksum(before) if exists else "",
            _checksum(after),
            undo,
        )
    )
    if backup:
        _replace(backup, before, path)
    _replace(path, after, path if exists else None)
    return backup


def make(folder: Folder, record: Record) -> bool:
    """Make a folder. Returns whether it was missing.

    Raises:
        OSError: it cannot be made.
    """
    if os.path.isdir(folder.path):
        return False
    record.add(Changed(folder.path, "", "", ""))
    os.mkdir(folder.path)
    os.chown(folder.path, pwd.getpwnam(folder.owner).pw_uid, grp.getgrnam(folder.group).gr_gid)
    os.chmod(folder.path, folder.mode)
    return True


def undo(record: Record, kept: int = 0) -> list[Changed]:
    """Take back what the record has, the last first. Returns what was taken back.

    Args:
        kept: so many of the first stay.

    Raises:
        ConfigurationError: something was changed since. Nothing is taken back.
        OSError: a file cannot be written; what was taken back before stays so.
    """
    every = record.read()
    first, changes = every[:kept], every[kept:]
    if problems := [problem for it in changes if (problem := _obstacle(it, changes))]:
        raise ConfigurationError("--undo", [*problems, "nothing was taken back"])
    left = list(changes)
    for changed in reversed(changes):
        _take_back(changed)
        left.pop()
        record.keep([*first, *left])
    return changes[::-1]


def _obstacle(changed: Changed, changes: Sequence[Changed]) -> str:
    """Why a change cannot be taken back; "" if it can."""
    if not changed.after:
        return ""  # commands, or a folder, which is removed if it is empty
    path = Path(changed.path)
    current = _checksum(path.read_bytes()) if path.exists() else ""
    states = {it.before for it in changes if it.path == changed.path}
    states |= {it.after for it in changes if it.path == changed.path}
    if current not in states:
        what = "was changed since" if current else "is gone"
        return f"{changed.path} {what}; its copy from before is {changed.backup or 'none'}"
    if changed.backup and current != changed.before and not _is_copy(changed):
        return f"{changed.backup}, the copy of {changed.path}, is not what it was"
    return ""


def _is_copy(changed: Changed) -> bool:
    backup = Path(changed.backup)
    return backup.exists() and _checksum(backup.read_bytes()) == changed.before


def _take_back(changed: Changed) -> None:
    path = Path(changed.path)
    if not changed.path:
        return
    if not changed.after:
        with contextlib.suppress(OSError):  # something is in it, or it was never made
            path.rmdir()
    elif not changed.before:
        path.unlink(missing_ok=True)
    elif _is_copy(changed):
        _replace(path, Path(changed.backup).read_bytes(), path)
    if changed.backup:
        Path(changed.backup).unlink(missing_ok=True)


def keep_copy(path: Path) -> Path:
    """Copy a file, with its mode and owner. Returns the copy."""
    backup = _backup(path)
    _replace(backup, path.read_bytes(), path)
    return backup


def write_private(path: Path, text: str, mode: int) -> None:
    """Write a file of ours: root's, and its group's where there is a group `autocreate`.

    Args:
        mode: for a file without that group.
    """
    _replace(path, _bytes(text), None, mode, is_ours=True)


def _replace(
    path: Path, data: bytes, like: Path | None, mode: int = 0o644, is_ours: bool = False
) -> None:
    """Put a file in the place of another at once.

    Args:
        like: the file whose mode, owner and attributes it gets.
    """
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(number, "wb") as file:
            file.write(data)
            if like:
                status = os.stat(like)
                shutil.copystat(like, name)  # access control lists, too
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
                os.fchmod(file.fileno(), status.st_mode & 0o7777)
            else:
                os.fchmod(file.fileno(), _our_mode(file.fileno(), mode) if is_ours else mode)
            file.flush()
            os.fsync(file.fileno())
        os.utime(name)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _our_mode(file: int, mode: int) -> int:
    """The mode for a file that our service reads, and nobody else where there is a group of ours."""
    try:
        group = grp.getgrnam(_OUR_GROUP).gr_gid
        os.fchown(file, -1, group)
    except (KeyError, PermissionError):
        return mode
    return 0o640


def _backup(path: Path) -> Path:
    """A name for the copy of a file that nothing has."""
    number = 1
    backup = path.with_name(f"{path.name}{_SUFFIX}")
    while backup.exists():
        number += 1
        backup = path.with_name(f"{path.name}{_SUFFIX}-{number}")
    return backup


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
