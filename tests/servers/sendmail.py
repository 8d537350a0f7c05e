"""A private Sendmail on loopback, run from its unpacked packages: Debian's Sendmail and Postfix exclude each other.

script/lib/install.sh unpacks it into .cache/sendmail; AUTOCREATE_SENDMAIL names another place. It runs in name
spaces of its own: for the host name (without a qualified one Sendmail sleeps a minute at its start), for
/etc/hosts, and for its processes, since a delivery leaves the daemon's session and would outlive it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from . import syslog
from .common import (
    HOST,
    STOP_TIMEOUT,
    end,
    free_port,
    greets,
    run,
)
from .program import Program

ROOT = Path(__file__).resolve().parents[2]
HOSTNAME = "mx.example.org"

CONFIGURATION = """\
divert(0)dnl
define(`_USE_ETC_MAIL_')dnl
define(`MAIL_SETTINGS_DIR', `{folder}/')dnl
OSTYPE(`unknown')dnl
define(`confPID_FILE', `{folder}/sendmail.pid')dnl
define(`QUEUE_DIR', `{folder}/queue')dnl
define(`STATUS_FILE', `{folder}/status')dnl
define(`HELP_FILE', `{folder}/helpfile')dnl
define(`ALIAS_FILE', `{folder}/aliases')dnl
define(`confSERVICE_SWITCH_FILE', `{folder}/service.switch')dnl
define(`confHOSTS_FILE', `{folder}/hosts')dnl
define(`confDOMAIN_NAME', `{hostname}')dnl
define(`confDONT_PROBE_INTERFACES', `True')dnl
define(`confTO_IDENT', `0')dnl
define(`confLOG_LEVEL', `10')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confREFUSE_LA', `1000')dnl
define(`confBAD_RCPT_THROTTLE', `0')dnl
define(`confDEF_USER_ID', `mail:mail')dnl
define(`LOCAL_MAILER_PATH', `/usr/bin/wc')dnl
define(`LOCAL_MAILER_ARGS', `wc')dnl
define(`LOCAL_SHELL_PATH', `/bin/true')dnl
MODIFY_MAILER_FLAGS(`LOCAL', `-w')dnl
MODIFY_MAILER_FLAGS(`LOCAL', `-5')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`accept_unqualified_senders')dnl
{virtual}\
DAEMON_OPTIONS(`Name=MTA, Addr={host}, Port={port}, Family=inet')dnl
{milter}\
{mailer}\
MAILER(`smtp')dnl
MAILER(`local')dnl
{cyrus}\
LOCAL_CONFIG
{domains}
{rules}\
"""


class Sendmail(Program):
    """An MTA that asks a milter and delivers by LMTP."""

    name = "sendmail"

    host: Final = HOST

    def __init__(
        self,
        *,
        milter: str | None = None,
        lmtp: tuple[str, int] | None = None,
        domains: Sequence[str] = ("example.org",),
        aliases: Mapping[str, str] | None = None,
        virtual_users: Mapping[str, str] | None = None,
        virtual_map: str = "",
        mailer_flags: str = "",
        milter_flags: str = "F=T",
        milter_timeouts: str = "C:5m;S:10s;R:10s;E:5m",
        rules: str = "",
        base: Path | None = None,
    ) -> None:
        """`milter` as Postfix writes it: unix:/path or inet:host:port. Without `lmtp` mail is accepted and discarded.

        `aliases` are aliases(5) ones: local part -> recipients; `virtual_users` the virtusertable.
        `virtual_map` is another map in its place, as FEATURE takes it. `mailer_flags` are flags for
        cyrusv2 besides its own: `+5`. `rules` are further lines of sendmail.mc, the last.
        """
        super().__init__(base)
        self._milter = milter
        self._lmtp = lmtp
        self._domains = tuple(domains)
        self._aliases = dict(aliases or {})
        self._virtual_users = dict(virtual_users or {})
        self._virtual_map = virtual_map
        self._mailer_flags = mailer_flags
        self._milter_options = f"{milter_flags}, T={milter_timeouts}"
        self._rules = rules
        self.port = free_port()
        self.unpacked = Path(os.environ.get("AUTOCREATE_SENDMAIL", ROOT / ".cache/sendmail"))

    def start(self) -> None:
        syslog.shared()
        super().start()

    def _command(self) -> Sequence[str | Path]:
        return self._contained(*self._sendmail("-bD"), options=("--pid", "--fork", "--kill-child"))

    def _is_up(self) -> bool:
        return greets(self.port, b"220 ")

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(OSError):
            os.kill(_child(process), signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT)
        process.kill()
        end(process)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("this Sendmail does not run")
        return _child(self._process)

    def queue(self) -> list[str]:
        """The words of mailq, a line each; nothing while the queue is empty."""
        told = run(self._contained(*self._sendmail("-bp")), env=self._environment)
        return [] if "is empty" in told else told.splitlines()

    def flush(self) -> None:
        """Tries all queued mail now."""
        run(self._contained(*self._sendmail("-q")), env=self._environment)

    def verified(self, recipient: str) -> str:
        """The local user to whom it would deliver; "" if it refuses the address, or sends it elsewhere."""
        done = subprocess.run(
            self._contained(*self._sendmail("-bv", recipient)),
            capture_output=True,
            text=True,
            env={**os.environ, **self._environment},
            check=False,
        )
        _, found, user = done.stdout.strip().rpartition("mailer cyrusv2, user ")
        return user if found else ""

    def log(self) -> str:
        """What it said to syslog (nothing where a syslog daemon owns /dev/log)."""
        return super().log() + "\n".join(syslog.shared().lines(f"^{self._tag}\\["))

    @property
    def _binary(self) -> Path:
        return self.unpacked / "usr/libexec/sendmail/sendmail"

    @property
    def _environment(self) -> Mapping[str, str]:
        libraries = [str(found.parent) for found in self.unpacked.glob("**/lib*.so.*")]
        return {"LD_LIBRARY_PATH": ":".join(sorted(set(libraries)))}

    @property
    def _tag(self) -> str:
        """Its name in syslog, which Sendmail cuts after 31 characters."""
        return self.folder.name.removeprefix("autocreate-test-")

    def _sendmail(self, *arguments: str) -> list[str]:
        return [str(self._binary), f"-C{self.folder}/sendmail.cf", f"-L{self._tag}", *arguments]

    def _contained(self, *command: str, options: Sequence[str] = ()) -> list[str]:
        prepare = 'hostname "$1" && mount --bind "$2" /etc/hosts && shift 2 && exec "$@"'
        own = ["unshare", "--uts", "--mount", *options, "sh", "-c", prepare, "sh"]
        return [*own, HOSTNAME, str(self.folder / "hosts"), *command]

    def _lay_out(self) -> None:
        if not self._binary.exists():
            raise AssertionError(
                f"no Sendmail in {self.unpacked}: script/lib/install.sh's unpack_sendmail puts it there"
            )
        folder = self.folder
        (folder / "queue").mkdir(mode=0o700)
        (folder / "hosts").write_text(f"127.0.0.1 localhost {HOSTNAME}\n")
        (folder / "service.switch").write_text("hosts files\naliases files\n")
        (folder / "aliases").write_text(
            "".join(f"{name}: {to}\n" for name, to in self._aliases.items())
        )
        for name in ("local-host-names", "trusted-users", "relay-domains"):
            (folder / name).touch()
        (folder / "sendmail.mc").write_text(self._macros())
        macros = self.unpacked / "usr/share/sendmail/cf"
        compiled = run(["m4", f"-D_CF_DIR_={macros}/", macros / "m4/cf.m4", folder / "sendmail.mc"])
        (folder / "sendmail.cf").write_text(compiled)
        virtual_users = "".join(f"{name}\t{to}\n" for name, to in self._virtual_users.items())
        (folder / "virtusertable").write_text(virtual_users)
        makemap: list[str | Path] = [
            self._binary.with_name("makemap"),
            "-C",
            folder / "sendmail.cf",
        ]
        run(
            [*makemap, "hash", folder / "virtusertable"],
            virtual_users.encode(),
            self._environment,
        )
        run(self._contained(*self._sendmail("-bi")), env=self._environment)

    def _macros(self) -> str:
        milter = mailer = cyrus = virtual = ""
        table = f"hash {self.folder}/virtusertable" if self._virtual_users else self._virtual_map
        if table:
            virtual = f"FEATURE(`virtusertable', `{table}')dnl\n"
        if self._milter:
            milter = f"INPUT_MAIL_FILTER(`autocreate', `S={_socket(self._milter)}, {self._milter_options}')dnl\n"
        if self._lmtp:
            mailer = (
                "define(`confLOCAL_MAILER', `cyrusv2')dnl\n"
                f"define(`CYRUSV2_MAILER_ARGS', `TCP {self._lmtp[0]} {self._lmtp[1]}')dnl\n"
            )
            if self._mailer_flags:
                mailer += f"MODIFY_MAILER_FLAGS(`CYRUSV2', `{self._mailer_flags}')dnl\n"
            cyrus = "MAILER(`cyrusv2')dnl\n"
        return CONFIGURATION.format(
            folder=self.folder,
            hostname=HOSTNAME,
            host=self.host,
            port=self.port,
            milter=milter,
            virtual=virtual,
            mailer=mailer,
            cyrus=cyrus,
            domains="\n".join(f"Cw{domain}" for domain in self._domains),
            rules=self._rules,
        )


def _child(unshare: subprocess.Popen[bytes]) -> int:
    """The process that unshare(1) waits for."""
    children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
    return int(children.read_text().split()[0])


def _socket(milter: str) -> str:
    """Postfix's way to write a milter's socket, as Sendmail writes it."""
    kind, _, where = milter.partition(":")
    if kind == "unix":
        return f"local:{where}"
    host, _, port = where.rpartition(":")
    return f"inet:{port}@{host}"
