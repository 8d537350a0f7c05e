"""Scripts as files below Cyrus's `sievedir`, on the Cyrus host: no password, no network.

Which folder is a user's depends on the version, on settings of imapd.conf and, since Cyrus 3.6, on the id of the user's
INBOX: so Cyrus's own mbpath(8) is asked, unless INBOX is new and the folder follows from its id. A script NAME is
NAME.script, NAME.bc and, if it is the active one, a link `defaultbc` to NAME.bc (imap/autocreate.c,
timsieved/actions.c).
"""

import contextlib
import logging
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from autocreate.backends.regular_file import MAX_SETTINGS, read_open, read_settings
from autocreate.errors import Reason, Refused, Temporary
from autocreate.mailstore.sieve.script import compiler_errors, is_bytecode
from autocreate.resilience.exception_map import ExceptionMap, map_exceptions
from autocreate.tree.values import Script

log = logging.getLogger(__name__)

PROGRAMS = Path("/usr/lib/cyrus/bin")

_ACTIVE = "defaultbc"


class Compiler:
    """Cyrus's sievec(8).

    Args:
        imapd_conf: for the extensions that it allows, or None for /etc/imapd.conf.
        timeout: seconds for a script.
        programs: where Cyrus's commands are.
    """

    def __init__(
        self, imapd_conf: str | None = None, timeout: float = 5.0, programs: Path = PROGRAMS
    ) -> None:
        self._command = [str(programs / "sievec"), *(["-C", imapd_conf] if imapd_conf else [])]
        self._timeout = timeout

    @property
    def is_here(self) -> bool:
        """Is it installed on this machine?"""
        return os.access(self._command[0], os.X_OK)

    def compile(self, text: bytes) -> bytes:
        """The bytecode of a script.

        Raises:
            Refused: it does not compile; every error is told with its line.
            Temporary: the compiler cannot be run.
        """
        try:
            with tempfile.TemporaryDirectory(prefix="autocreate-") as folder:
                source, target = Path(folder, "script"), Path(folder, "bytecode")
                source.write_bytes(text)
                done = _run([*self._command, str(source), str(target)], self._timeout)
                if done.returncode == 0:
                    return target.read_bytes()
        except OSError as error:
            raise Temporary(f"sievec cannot be used: {error}") from error
        words = (done.stderr + done.stdout).replace(folder, "").strip()
        if errors := compiler_errors(words):
            raise Refused(f"it does not compile: {errors}", Reason.IMPOSSIBLE)
        raise Temporary(f"sievec failed: {words or f'exit status {done.returncode}'}")


_ERRORS: ExceptionMap[Path] = {
    OSError: lambda sievedir, error: Temporary(f"scripts below {sievedir}: {error}")
}


class SieveFiles:
    """The scripts of the Cyrus on this machine. See `ScriptStore` for what each method promises.

    Args:
        imapd_conf: its imapd.conf.
        sievedir: the folder of all scripts, whose owner owns whatever is made in it.
        timeout: seconds for each of Cyrus's commands.
        programs: where they are.
    """

    is_of_server: ClassVar[bool] = False

    def __init__(
        self, imapd_conf: str, sievedir: str, timeout: float, programs: Path = PROGRAMS
    ) -> None:
        self._mbpath = [str(programs / "mbpath"), "-C", imapd_conf, "-l", "-u", "-S", "--"]
        self._sievedir = Path(sievedir)
        self._timeout = timeout
        self._compiler = Compiler(imapd_conf, timeout, programs)
        self._bytecode: dict[Script, bytes] = {}
        self._lock = threading.Lock()
        self._is_by_id = False

    def active(self, user: str) -> Script | None:
        """The script that filters the user's mail."""
        with self._using():
            link = self._sievedir / self._place(user) / _ACTIVE
            if not os.path.lexists(link):
                return None
            target = os.readlink(link) if link.is_symlink() else _ACTIVE
            return Script(target.removesuffix(".bc"))

    def install(self, user: str, script: Script, new_inbox: str = "") -> None:
        """Put a script and make it the active one, unless the user has an active one."""
        with self._using():
            bytecode = self._bytecode_of(script)
            owner = self._owner()
            place = self._place_of_new(user, new_inbox) if new_inbox else self._place(user)
            with _folder(self._sievedir, place.parts, owner) as folder:
                if _ACTIVE in os.listdir(folder):
                    return
                files = {f"{script.name}.script": script.text, f"{script.name}.bc": bytecode}
                for name, data in files.items():
                    if _read(name, folder) not in (None, data):
                        raise Refused(
                            f"{user!r} already has a different script of that name, which is kept",
                            Reason.TAKEN,
                        )
                for name, data in files.items():
                    _write(name, data, folder, 0o600, owner)
                # A link never replaces anything: the first to make it decides the active script.
                with contextlib.suppress(FileExistsError):
                    os.symlink(f"{script.name}.bc", _ACTIVE, dir_fd=folder)
                    os.chown(_ACTIVE, *owner, dir_fd=folder, follow_symlinks=False)
                os.fsync(folder)

    def check(self, script: Script) -> tuple[str, ...]:
        """Does it compile, and does what was compiled before look as if it were of this script?"""
        with self._using():
            self._owner()
            self._compiler.compile(script.text)
        return tuple(problems(script))

    def close(self) -> None:
        """Nothing is kept open."""

    def _place_of_new(self, user: str, inbox: str) -> Path:
        """The same, for a user whose INBOX was created just now: it may follow from the id of that.

        Once mbpath was seen to say so. Not before Cyrus 3.6, nor with mailbox_legacy_dirs of imapd.conf(5).
        """
        by_id = Path("uuid", inbox[:1], inbox[1:2], inbox)
        if not self._is_by_id:
            place = self._place(user)
            self._is_by_id = place == by_id
            return place
        return by_id

    def _place(self, user: str) -> Path:
        """The user's folder, relative to `sievedir`."""
        done = _run([*self._mbpath, user], self._timeout)
        words = (done.stderr or done.stdout).strip()
        if done.returncode or not done.stdout.strip():
            raise Temporary(f"mbpath does not show the script folder of {user!r}: {words}")
        path = Path(done.stdout.splitlines()[0])
        if not path.is_relative_to(self._sievedir) or ".." in path.parts:
            raise Temporary(f"mbpath says {path}, which is not below sievedir {self._sievedir}")
        return path.relative_to(self._sievedir)

    def _owner(self) -> tuple[int, int]:
        status = self._sievedir.stat()
        if os.geteuid() not in (0, status.st_uid):
            raise Temporary(
                f"scripts can be written to {self._sievedir} by its owner (user id {status.st_uid}) "
                f"or root only, and this process has user id {os.geteuid()}: run it as Cyrus's user"
            )
        return status.st_uid, status.st_gid

    def _bytecode_of(self, script: Script) -> bytes:
        """What was compiled before, or else is compiled now, once in the life of this store."""
        if script.is_template:  # nobody else has this one
            return self._compiler.compile(script.text)
        if script.compiled and (found := _bytecode_in(script.compiled)):
            return found
        with self._lock:
            if script not in self._bytecode:
                self._bytecode[script] = self._compiler.compile(script.text)
                if script.compiled and script.save:
                    self._save(script.compiled, self._bytecode[script])
            return self._bytecode[script]

    def _save(self, path: str, bytecode: bytes) -> None:
        try:
            save(Path(path), bytecode)
        except OSError as error:
            log.warning("%s: the compiled script cannot be kept: %s", path, error)
        else:
            log.info("%s: the compiled script is kept here", path)

    def _using(self) -> contextlib.AbstractContextManager[None]:
        return map_exceptions(_ERRORS, self._sievedir)


def save(path: Path, data: bytes) -> None:
    """Write a whole file in one step, readable for everyone.

    Raises:
        OSError: nothing has changed.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _write(path.name, data, folder, 0o644)
        os.fsync(folder)
    finally:
        os.close(folder)


def problems(script: Script) -> Iterator[str]:
    """What looks wrong about a script's compiled file, if it has one."""
    if not script.compiled:
        return
    try:
        data = read_settings(script.compiled)
        is_older = os.stat(script.compiled).st_mtime < os.stat(script.source).st_mtime
    except FileNotFoundError as error:
        yield f"{error.filename} does not exist, so the script is compiled when it is needed"
    except OSError as error:
        yield f"{script.compiled} cannot be read: {error.strerror}"
    else:
        if not is_bytecode(data):
            yield f"{script.compiled} is not a compiled script, so it is ignored"
        elif is_older:
            yield f"{script.compiled} is older than {script.source}: run autocreate sieve compile"


def _bytecode_in(path: str) -> bytes | None:
    try:
        data = read_settings(path)
    except OSError:
        return None  # reported by `check` at the start
    return data if is_bytecode(data) else None


@contextlib.contextmanager
def _folder(top: Path, levels: Sequence[str], owner: tuple[int, int]) -> Iterator[int]:
    """A descriptor of a folder below `top`, with what is missing of it made.

    Level by level and never through a link, since root must not be led astray by Cyrus's user.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY
    folder = os.open(top, flags)
    try:
        for level in levels:
            with contextlib.suppress(FileExistsError):
                os.mkdir(level, 0o700, dir_fd=folder)
                os.chown(level, *owner, dir_fd=folder, follow_symlinks=False)
            inner = os.open(level, flags | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _read(name: str, folder: int) -> bytes | None:
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        return None
    try:
        return read_open(file, name, MAX_SETTINGS).data
    finally:
        os.close(file)


def _write(
    name: str, data: bytes, folder: int, mode: int, owner: tuple[int, int] | None = None
) -> None:
    """A whole file or none, on disk when this returns (but for its folder)."""
    passing = f".{name}.{os.getpid()}.{threading.get_ident()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with open(os.open(passing, flags, mode, dir_fd=folder), "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if owner:
                os.fchown(file.fileno(), *owner)
            os.fsync(file.fileno())
        os.rename(passing, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(passing, dir_fd=folder)
        raise


def _run(command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a command of Cyrus's.

    Raises:
        Temporary: it did not end in time.
        OSError: it cannot be run.
    """
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Temporary(f"{command[0]} did not end within {timeout:g} s") from error
