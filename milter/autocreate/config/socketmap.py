"""[socketmap]: the socket map that Postfix or Sendmail asks about recipients."""

from typing import Annotated

from pydantic import Field

from autocreate.config.types import GroupOfSystem, Mode, Section, Socket, Whole


class SocketMap(Section):
    """[socketmap]: a table of recipients for Postfix and Sendmail, in place of Cyrus's smmapd. Optional; needs
    a restart.

    Postfix: `virtual_mailbox_maps = socketmap:unix:/run/autocreate/map.sock:recipients`, and likewise
    `local_recipient_maps` and `relay_recipient_maps` (socketmap_table(5)). The name of the map is free. A
    recipient is found if the milter would accept it, and no mailbox is created. In dry run a recipient is
    found if its mailbox exists in Cyrus. `autocreate milter` and `autocreate run` serve it. See
    docs/socketmap.md.
    """

    socket: Socket = "unix:/run/autocreate/map.sock"
    """Where to listen: `unix:/path`, `inet:HOST:PORT`, or `fd:N` for an inherited socket. If a systemd .socket
    unit listens there, its socket is used as it is. Everybody who can connect can find out which recipients
    exist."""
    socket_mode: Mode = "0660"
    """The mode of a Unix socket."""
    socket_group: GroupOfSystem | None = None
    """The group of a Unix socket. The MTA must be a member: `postfix`."""
    connections: Annotated[Whole, Field(ge=1, le=2000)] = 200
    """The greatest number of lookups at the same time, and of idle connections. When there are more, the one
    that was idle for longest is closed. Sendmail has one for each session, and defers (451) a recipient if it is
    closed. Postfix has one for each smtpd, or a few in all with `proxy:` before
    the map."""
