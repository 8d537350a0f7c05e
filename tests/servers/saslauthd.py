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

from .common import START_TIMEOUT, end, fresh_folder, signal_session, start, wait_until

SASLAUTHD = Path("/usr/sbin/saslauthd")
SERVICES = ("imap", "pop", "sieve")

# pam_exec(8) writes the password to the script's standard input, and a NUL behind it.
_SCRIPT = """#!/bin/sh
password=$(tr -d '\\000')
[ ! -e "{folder}/slow" ] || sleep 60
exec grep -qxF -e "$PAM_USER:$password" "{folder}/passwords"
"""


class Pam:
    """A PAM whose passwords stand in a file: between `__enter__` and `__exit__`."""

    def __init__(self, passwords: dict[str, str], services: Iterable[str] = SERVICES) -> None:
        self._passwords = passwords
        self._services = tuple(services)
        self._cleanup = contextlib.ExitStack()
        self.folder = Path()

    def __enter__(self) -> Pam:
        with contextlib.ExitStack() as undo:
            self.folder = undo.enter_context(fresh_folder("pam"))
            script = self.folder / "check"
            script.write_text(_SCRIPT.format(folder=self.folder))
            script.chmod(0o755)
            self.add_users(self._passwords)
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
        # What pam_exec itself says to a status other than 0 is "system error", which is no judgement.
        passwords = (
            f"auth [success=1 default=ignore] pam_exec.so quiet expose_authtok {self.folder}/check\n"
            "auth requisite pam_deny.so\n"
            "auth required pam_permit.so"
        )
        lines = [auth or passwords, *filter(None, [account]), "account required pam_permit.so", ""]
        (self.folder / "pam.d" / service).write_text("\n".join(lines))

    def add_users(self, passwords: dict[str, str]) -> None:
        with (self.folder / "passwords").open("a") as file:
            file.writelines(f"{user}:{password}\n" for user, password in passwords.items())

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
        assert self._process is not None
        signal_session(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        signal_session(self._process.pid, signal.SIGCONT)

    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")
