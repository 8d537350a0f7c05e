"""[cyrus.murder]: the other servers of a Cyrus Murder."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from autocreate.config.types import (
    Host,
    Name,
    ReadableFile,
    Seconds,
    SecretFile,
    Section,
    ServerName,
    Whole,
)


class Murder(Section):
    """[cyrus.murder]: `host` of [cyrus] is a frontend of a Cyrus Murder (of the standard kind). Optional.

    `host` is the frontend to which this MTA delivers. What belongs to a user is done at the backend that has
    the user's INBOX, and the MUPDATE master says whether a mailbox exists. See docs/murder.md.
    """

    mupdate: Host
    """The MUPDATE master; never a slave, which is what runs on a frontend. With TLS, its certificate must be
    valid for this name or address."""
    port: Annotated[Whole, Field(gt=0, lt=65536)] = 3905
    """Its MUPDATE port, and that of the frontend's slave. The slave is asked as `cyrus.admin`, and `tls`, `ca_file`
    and `timeout` count for it, too."""
    tls: Literal["starttls", "none"] = "starttls"
    """How the connection to the master is secured. Only `none` sends the password unencrypted: use it on
    loopback only."""
    ca_file: ReadableFile | None = None
    """The certificates to trust for the master, in PEM. Default: `cyrus.ca_file`."""
    admin: Name | None = None
    """One of the master's `admins`: no one else may ask it. Default: `cyrus.admin`."""
    password_file: SecretFile | None = None
    """A file whose first line is that password. Others must not be able to read it. Default:
    `cyrus.password_file`."""
    connections: Annotated[Whole, Field(ge=1, le=100)] = 2
    """The greatest number of open connections to the master."""
    timeout: Seconds = 2.0
    """Seconds for the connection to the master and for each answer. Must be less than `milter.deadline`."""
    backends: Annotated[Mapping[ServerName, Host], Field(min_length=1)]
    """Every backend by its `servername`, as the master knows it, and its host:
    `{ "b1.example.org" = "b1.example.org" }`. They are reached as `cyrus.host` is: with the same `port`, `tls`,
    `ca_file`, `admin` and password, and the same `sieve_port`. `admin` must be one of their `admins`."""
    place: Literal["random", "frontend", "freest", "fewest"] = "random"
    """At which backend a new INBOX is created: at any (`random`), where most space is free (`freest`), where the
    fewest users are (`fewest`), or where the frontend's `serverlist` says (`frontend`). A backend that does not
    answer is chosen by `frontend` alone. If a policy names a partition and no server, `frontend` counts as
    `random`. Read docs/mailbox-ids.md before you write `frontend` or `freest`: with Debian's Cyrus two users may get
    one mailbox."""
    place_attribute: Name | None = None
    """The name of the user's own backend in the account source: an LDAP attribute, or a further column of the
    SQL query. Otherwise `server` of the policy is used, or `place`."""
