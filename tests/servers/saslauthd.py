"""A private saslauthd, and the PAM that it and the program under test ask for passwords.

PAM looks for its services in /etc/pam.d alone. Here each process that asks it has a mount namespace of its own, in
which a folder of ours lies over that place.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from .berkeley import write_hash
from .common import (
    START_TIMEOUT,
    end,
    fresh_folder,
    pause_all,
    session_members,
    signal_all,
    start,
    wait_until,
)

SASLAUTHD = Path("/usr/sbin/saslauthd")
SERVICES = ("imap", "pop", "sieve")


class Pam:
    """A PAM whose passwords stand in a database of pam_userdb(8): between `__enter__` and `__exit__`.

    Not a script under pam_exec(8): saslauthd catches SIGCHLD and waits for whichever child of it has ended,
    and where that comes before pam_exec's own wait for its script, the right password is refused (7 times
    in 4,000 on a busy machine).
    """

    def __init__(self, passwords: dict[str, str], services: Iterable[str] = SERVICES) -> None:
        self._passwords = passwords
        self._services = tuple(services)
        self._cleanup = contextlib.ExitStack()
        self.folder = Path()

    def __enter__(self) -> Pam:
        with contextlib.ExitStack() as undo:
            self.folder = undo.enter_context(fresh_folder("pam"))
            # pam_userdb puts the end of this name itself
            write_hash(
                self.folder / "passwords.db",
                ((user.encode(), word.encode()) for user, word in self._passwords.items()),
            )
            services = self.folder / "pam.d"
            services.mkdir()
            for name in self._services:
                self.configure(name)
            self._cleanup = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    def configure(self, service: str, auth: str = "", account: str = "") -> None:
        """Writes a service's file: `auth` in the place of our passwords, `account` before letting everyone in."""
        passwords = f"auth required pam_userdb.so db={self.folder}/passwords crypt=none"
        lines = [auth or passwords, *filter(None, [account]), "account required pam_permit.so", ""]
        (self.folder / "pam.d" / service).write_text("\n".join(lines))

    def contained(self, *command: str | Path) -> list[str | Path]:
        """A command that finds this PAM; it keeps the number of the process that is started."""
        prepare = 'mount --bind "$1" /etc/pam.d && shift && exec "$@"'
        return [
            *("unshare", "--mount", "sh", "-c", prepare, "sh"),
            self.folder / "pam.d",
            *command,
        ]


class Saslauthd:
    """Runs between `__enter__` and `__exit__`; `stop` and `start` in between keep the socket's place."""

    def __init__(self, pam: Pam) -> None:
        self._pam = pam
        self._cleanup = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = Path()

    def __enter__(self) -> Saslauthd:
        with contextlib.ExitStack() as undo:
            self.folder = undo.enter_context(fresh_folder("saslauthd"))
            undo.callback(self.stop)
            self.start()
            self._cleanup = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    @property
    def socket(self) -> Path:
        return self.folder / "mux"

    def start(self) -> None:
        with (self.folder / "log").open("ab") as output:
            self._process = start(
                self._pam.contained(SASLAUTHD, "-d", "-r", "-a", "pam", "-m", self.folder), output
            )
        wait_until(self.socket.exists, START_TIMEOUT, "saslauthd's start", self.log)

    def stop(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            # One that is told to end while it starts its children may not end at all.
            end(process, timeout=1.0, linger=1.0)
            self.socket.unlink(missing_ok=True)

    def pause(self) -> None:
        """Its socket takes requests, and nothing comes back."""
        pause_all(self._members)

    def resume(self) -> None:
        signal_all(self._members(), signal.SIGCONT)

    def _members(self) -> list[int]:
        assert self._process is not None
        return session_members(self._process.pid)

    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")
