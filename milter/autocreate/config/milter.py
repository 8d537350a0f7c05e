"""[milter]: the socket, and whose recipients are verified."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from autocreate.config.types import (
    Domain,
    GroupOfSystem,
    Mode,
    Seconds,
    Section,
    Socket,
    Switch,
    Whole,
)


class Milter(Section):
    """[milter]: the socket, and which recipients are verified."""

    socket: Socket = "unix:/run/autocreate/milter.sock"
    """Where to listen: `unix:/path`, `inet:HOST:PORT`, or `fd:N` for an inherited socket. If a systemd .socket
    unit listens there, its socket is used as it is."""
    socket_mode: Mode = "0660"
    """The mode of a Unix socket."""
    socket_group: GroupOfSystem | None = None
    """The group of a Unix socket. The MTA must be a member: `postfix`."""
    control: Path | None = None
    """A Unix socket where root's commands and `autocreate login` reach this process. Default: next to
    `socket`; none if `socket` is not a path. Needs a restart."""
    mode: Literal["enforce", "dry-run"] = "enforce"
    """`dry-run` refuses and creates nothing, but logs and records what it would do. Keep the MTA's own maps of
    recipients meanwhile: the milter is also told of recipients that they refuse, and `autocreate report` compares
    both answers."""
    domains: tuple[Domain, ...] = ()
    """The domains whose recipients are verified, besides those in tables ([domains.NAME]). Other recipients
    pass unchecked. `*` means every recipient with one of `mailers`; with [aliases], also list the domains
    whose aliases lead to local users, here or in a table."""
    mailers: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "lmtp",
        "cyrusv2",
        "virtual",
        "local",
    )
    """The transports that deliver to Cyrus, as in the MTA's macro `{rcpt_mailer}`. Recipients with another
    transport pass unchecked, unless their domain is in `domains`, or in a table of [domains], and they have
    an alias."""
    recipient_delimiter: Annotated[str, Field(pattern=r"^[!-/:-?\[-`{-~]*$")] = "+"
    """The characters that begin the detail in `alias+detail`, as in the Postfix parameter of this name. They
    count for aliases only. The detail of a user always begins at `+`, because Cyrus's lmtpd knows no other
    delimiter: mail to `joe-lists` is for a user of that name."""
    lmtp_quote_rfc821_envelope: Switch = True
    """As in Postfix's main.cf, where the default is `yes`: local parts that end in a dot or have two in a row
    (`dot.`, `a..b`) are delivered in quotes, and Cyrus accepts no mail for them. Write `false` if your MTA
    delivers them without quotes. Sendmail's `cyrusv2` does; for its mail this key has no effect."""
    deadline: Seconds = 8.0
    """Seconds until a recipient is answered, even if Cyrus or a database does not answer. By default Sendmail
    waits 10 seconds and Postfix 30."""
    workers: Annotated[Whole, Field(ge=1, le=1000)] = 32
    """The greatest number of users that are processed at the same time."""
    processes: Annotated[Whole, Field(ge=1, le=64)] = 1
    """How many processes answer at `socket`. Python runs the code of one thread at a time, so more than one helps
    where one uses a whole processor, in a flood of unknown recipients, and others are idle. Each has its own caches
    and connections, and its part of what [limits] and `log.unknown_per_minute` allow. They take turns at a new user,
    and tell each other what to forget (not by a journal on MySQL or MariaDB). Number 1, 2, ... beside the first has
    its control socket at `control` with `.1`, `.2`, ... behind it, and its metrics at the port of `metrics.listen`
    plus 1, 2, ... Logins, [socketmap] and [watch] stay with the first. Needs a restart."""
    cache_size: Annotated[Whole, Field(ge=1)] = 100_000
    """The greatest number of users in the cache of existing mailboxes. Their mail needs no lookup."""
    cache_seconds: Seconds = 300.0
    """Seconds for which an existing mailbox is cached, and for which a domain found in a table is. An account
    that was removed still gets mail for that long."""
    alias_seconds: Seconds = 10.0
    """Seconds for which the targets of an address are cached, and for which a domain found in no table is. A
    changed alias or a new domain is not seen for that long."""

    def share(self, limit: int | None) -> int | None:
        """The part of a limit for all processes that one process has: together they do not exceed it.

        A limit that is smaller than their number is 1 for each.
        """
        return limit if not limit else max(1, limit // self.processes)
