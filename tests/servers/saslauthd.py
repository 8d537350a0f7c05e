"""A private saslauthd, and the PAM that it and the program under test ask for passwords.

PAM looks for its services in /etc/pam.d alone. Here each process that asks it has a mount namespace of its own, in
which a folder of ours lies over that place.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from .berkeley import write_hash
from .common import (
    end,
    fresh_folder,
)
from .life import Life
from .program import Program

SASLAUTHD = Path("/usr/sbin/saslauthd")
SERVICES = ("imap", "pop", "sieve")


class Pam(Life):
    """A PAM whose passwords stand in a database of pam_userdb(8): between `__enter__` and `__exit__`.

    Not a script under pam_exec(8): saslauthd catches SIGCHLD and waits for whichever child of it has ended,
    and where that comes before pam_exec's own wait for its script, the right password is refused (7 times
    in 4,000 on a busy machine).
    """

    def __init__(self, passwords: dict[str, str], services: Iterable[str] = SERVICES) -> None:
        super().__init__()
        self._passwords = passwords
        self._services = tuple(services)
        self.folder = Path()

    def _enter(self, undo: contextlib.ExitStack) -> None:
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


class Saslauthd(Program):
    """`stop` and `start` keep the socket's place.

    While it is paused its socket takes requests, and nothing comes back.
    """

    name = "saslauthd"
    output = "log"

    def __init__(self, pam: Pam) -> None:
        super().__init__()
        self._pam = pam

    @property
    def socket(self) -> Path:
        return self.folder / "mux"

    def _lay_out(self) -> None:
        """There is nothing to configure."""

    def _command(self) -> Sequence[str | Path]:
        return self._pam.contained(SASLAUTHD, "-d", "-r", "-a", "pam", "-m", self.folder)

    def _is_up(self) -> bool:
        return self.socket.exists()

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        # One that is told to end while it starts its children may not end at all.
        end(process, timeout=1.0, linger=1.0)
        self.socket.unlink(missing_ok=True)
