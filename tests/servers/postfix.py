"""A private Postfix on loopback, with a queue, a configuration and a log of its own.

Postfix itself accepts every recipient of `domains`, so that a milter alone decides.
"""

from __future__ import annotations

import grp
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from .common import (
    HOST,
    aged,
    end,
    free_port,
    greets,
    poll,
    run,
    session_members,
    wait_until,
)
from .program import Program

DAEMONS = Path("/usr/lib/postfix/sbin")

# Name, type, private, chroot is always n, wake-up, process limit, command: Debian's own, without chroot.
SERVICES = """\
pickup    unix        n - n 60    1 pickup
cleanup   unix        n - n -     0 cleanup
qmgr      unix        n - n 300   1 qmgr
tlsmgr    unix        - - n 1000? 1 tlsmgr
rewrite   unix        - - n -     - trivial-rewrite
bounce    unix        - - n -     0 bounce
defer     unix        - - n -     0 bounce
trace     unix        - - n -     0 bounce
verify    unix        - - n -     1 verify
flush     unix        n - n 1000? 0 flush
proxymap  unix        - - n -     - proxymap
proxywrite unix       - - n -     1 proxymap
smtp      unix        - - n -     - smtp
relay     unix        - - n -     - smtp
showq     unix        n - n -     - showq
error     unix        - - n -     - error
retry     unix        - - n -     - error
discard   unix        - - n -     - discard
local     unix        - n n -     - local
virtual   unix        - n n -     - virtual
lmtp      unix        - - n -     - lmtp
anvil     unix        - - n -     1 anvil
scache    unix        - - n -     1 scache
postlog   unix-dgram  n - n -     1 postlogd
"""

# As postfix-script would make them, at a tenth of its time: (folder, mode, group).
QUEUE = [
    (name, 0o700, "root")
    for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold")
]
QUEUE += [(name, 0o700, "root") for name in ("incoming", "private", "saved", "trace")]
QUEUE += [("maildrop", 0o1730, "postdrop"), ("public", 0o2710, "postdrop")]


class Postfix(Program):
    """An MTA that asks a milter and delivers by LMTP."""

    name = "postfix"
    output = "master.out"

    host: Final = HOST

    def __init__(
        self,
        *,
        milter: str | None = None,
        lmtp: tuple[str, int] | None = None,
        domains: Sequence[str] = ("example.org",),
        aliases: Mapping[str, str] | None = None,
        alias_domains: Sequence[str] = (),
        parameters: Mapping[str, str] | None = None,
        base: Path | None = None,
    ) -> None:
        """`milter` as Postfix writes it: unix:/path or inet:host:port. It is asked for submitted mail too.

        Without `lmtp` mail is accepted and discarded. `aliases` are virtual(5) ones, and `alias_domains`
        have nothing but these.
        """
        super().__init__(base)
        self._milter = milter
        self._lmtp = lmtp
        self._domains = tuple(domains)
        self._aliases = dict(aliases or {})
        self._alias_domains = tuple(alias_domains)
        self._parameters = dict(parameters or {})
        self.port = free_port()

    def _command(self) -> Sequence[str | Path]:
        # -d: stay in the foreground. master ends its whole process group, so it must lead one.
        return [DAEMONS / "master", "-c", self.config, "-d"]

    def _is_up(self) -> bool:
        return greets(self.port, b"220 ")

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        # postlogd ignores SIGTERM, to hear the others' last words, and is a second late to notice their end.
        end(process, linger=0.2)

    def reload(self) -> None:
        """Takes up a changed configuration; processes that serve a client finish with it first."""
        done = self.log().count("reload -- version")
        old = {pid for pid in session_members(self.pid) if pid != self.pid}
        os.kill(self.pid, signal.SIGHUP)
        wait_until(
            lambda: self.log().count("reload -- version") > done, 10.0, "the reload", self.log
        )
        # An idle smtpd of before could still answer the next client.
        poll(lambda: not old & set(session_members(self.pid)), 1.0)

    def set(self, **parameters: str) -> None:
        """Changes main.cf; `reload` makes it so."""
        run(
            [
                "postconf",
                "-c",
                self.config,
                "-e",
                *(f"{name}={value}" for name, value in parameters.items()),
            ]
        )
        self._age()

    def submit(self, sender: str, recipients: Sequence[str], message: bytes) -> None:
        """Local submission, as a program on this machine does: sendmail(1), postdrop, pickup, cleanup."""
        run(
            ["/usr/sbin/sendmail", "-C", self.config, "-i", "-f", sender, "--", *recipients],
            stdin=message,
            env=self._environment,
        )

    def queue(self) -> list[str]:
        """One line a queued recipient: its queue, address and reason, if it has one."""
        told = run(["postqueue", "-c", self.config, "-j"], env=self._environment)
        lines = []
        for mail in map(json.loads, told.splitlines()):
            for recipient in mail["recipients"]:
                reason = recipient.get("delay_reason", "")
                lines.append(f"{mail['queue_name']} {recipient['address']} {reason}".rstrip())
        return lines

    def flush(self) -> None:
        """Tries all deferred mail now."""
        run(["postqueue", "-c", self.config, "-f"], env=self._environment)

    def log(self) -> str:
        """What it printed, and its mail log."""
        mail_log = self.folder / "mail.log"
        return super().log() + (mail_log.read_text("utf-8", "replace") if mail_log.exists() else "")

    @property
    def config(self) -> Path:
        return self.folder / "etc"

    @property
    def _environment(self) -> Mapping[str, str]:
        return {"MAIL_CONFIG": str(self.config)}

    def _lay_out(self) -> None:
        queue, data = self.folder / "queue", self.folder / "data"
        for made in (self.config, queue, data, queue / "pid"):
            made.mkdir()
        shutil.chown(data, "postfix")
        for name, mode, group in QUEUE:
            (queue / name).mkdir()
            os.chown(queue / name, shutil._get_uid("postfix"), grp.getgrnam(group).gr_gid)  # type: ignore[attr-defined]
            (queue / name).chmod(mode)

        aliases = self.config / "virtual"
        aliases.write_text("".join(f"{name}  {to}\n" for name, to in self._aliases.items()))
        transport = f"lmtp:inet:{self._lmtp[0]}:{self._lmtp[1]}" if self._lmtp else "discard:"
        parameters = {
            "compatibility_level": "3.6",
            "queue_directory": str(queue),
            "data_directory": str(data),
            "maillog_file": str(self.folder / "mail.log"),
            "maillog_file_prefixes": str(self.folder),
            "myhostname": "mx.example.org",
            "mydestination": "",
            "alias_maps": "",
            "alias_database": "",
            "inet_interfaces": HOST,
            "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.0/8",
            "smtp_dns_support_level": "disabled",
            "smtputf8_enable": "yes",
            "recipient_delimiter": "+",
            "virtual_mailbox_domains": " ".join(self._domains),
            "virtual_mailbox_maps": "static:all",
            "virtual_transport": transport,
            "virtual_alias_maps": f"texthash:{aliases}",
            "virtual_alias_domains": " ".join(self._alias_domains),
            "milter_default_action": "tempfail",  # as in contrib; newer ones have another default
            "smtpd_milters": self._milter or "",
            "non_smtpd_milters": self._milter or "",
            # Nothing here may slow down a test that makes mistakes on purpose.
            "smtpd_error_sleep_time": "0",
            "smtpd_soft_error_limit": "10000",
            "smtpd_hard_error_limit": "10000",
            "smtpd_peername_lookup": "no",
            "in_flow_delay": "0",
        } | self._parameters
        (self.config / "main.cf").write_text(
            "".join(f"{name} = {value}\n" for name, value in parameters.items())
        )
        (self.config / "master.cf").write_text(
            f"{HOST}:{self.port} inet n - n - - smtpd\n{SERVICES}"
        )
        self._age()

    def _age(self) -> None:
        """Postfix waits two seconds before it trusts a file that has just been written."""
        for path in self.config.iterdir():
            aged(path)
