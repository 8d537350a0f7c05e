"""[milter]: the socket, and which recipients are ours."""

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
    """[milter]: the socket, and which recipients are ours."""

    socket: Socket = "unix:/run/autocreate/milter.sock"
    """Where to listen: `unix:/path`, `inet:HOST:PORT`, or `fd:N` for a socket that was inherited. One
    that systemd holds at that place (a .socket unit) is taken as it is."""
    socket_mode: Mode = "0660"
    """The mode of a Unix socket."""
    socket_group: GroupOfSystem | None = None
    """The group of a Unix socket: one that the MTA is in, such as `postfix`."""
    control: Path | None = None
    """Where root's commands, and `autocreate login`, reach this process, a Unix socket; beside
    `socket` if not given, and nowhere if that is no path. Read at the start only."""
    mode: Literal["enforce", "dry-run"] = "enforce"
    """`dry-run` lets all mail pass and creates nothing, but logs and records what it would do."""
    domains: tuple[Domain, ...] = ()
    """Our domains, besides those in tables ([domains.NAME]). Recipients elsewhere pass untouched. `*` for
    every recipient who comes with one of `mailers`; with [aliases], names beside it or tables say in
    which domains an alias leads to users of ours."""
    mailers: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "lmtp",
        "cyrusv2",
        "virtual",
        "local",
    )
    """The transports that deliver to Cyrus, as the MTA tells them in `{rcpt_mailer}`. Recipients with
    another one pass untouched, unless `domains` names their domain, or a table of [domains] has it, and
    they have an alias."""
    recipient_delimiter: Annotated[str, Field(pattern=r"^[!-/:-?\[-`{-~]*$")] = "+"
    """Each of these characters begins the detail in `alias+detail`, as in Postfix's parameter of that
    name: it counts when aliases are looked up. A user's detail begins at `+` whatever this says, since
    that is all that Cyrus's lmtpd knows: mail to `joe-lists` is for a user of that name."""
    lmtp_quote_rfc821_envelope: Switch = True
    """As in Postfix's main.cf, where it is `yes` unless you say otherwise: local parts with dots at an end
    or in a row (`a..b`, `dot.`) are delivered in quotes, and Cyrus takes no mail for them. `false` if
    your MTA delivers them without. Sendmail's `cyrusv2` does; its mail is taken whatever this says."""
    deadline: Seconds = 8.0
    """Seconds until a recipient is answered, whatever Cyrus and the databases do. Sendmail gives up
    after 10 seconds unless told otherwise, Postfix after 30."""
    workers: Annotated[Whole, Field(ge=1, le=1000)] = 32
    """How many users are worked on at once."""
    cache_size: Annotated[Whole, Field(ge=1)] = 100_000
    """How many users whose mailboxes stand are remembered, so that their mail costs no look-up."""
    cache_seconds: Seconds = 300.0
    """How long one is remembered, and how long it is that a table has a domain. For so long an account
    that was removed is still accepted."""
    alias_seconds: Seconds = 10.0
    """How long it is remembered whom an address stands for, and that no table has a domain. For so long
    a changed alias or a new domain is not seen."""
