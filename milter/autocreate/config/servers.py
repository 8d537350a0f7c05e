"""The keys of a database server, the same in [accounts.NAME], [aliases.NAME] and [domains.NAME].

Each section makes one value of them (`autocreate.backends.options`), which is handed down unchanged. The
defaults are here and nowhere else.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from autocreate.backends.options import LdapOptions, SqlOptions
from autocreate.config.types import (
    DatabaseUrl,
    LdapUrl,
    Name,
    ReadableFile,
    Seconds,
    SecretFile,
    Section,
    Switch,
    Whole,
)


class Server(Section):
    """What every server has."""

    timeout: Seconds = 2.0
    """Seconds for the connection and for each answer; less than `milter.deadline`."""
    connections: Annotated[Whole, Field(ge=1, le=100)] = 4
    """How many connections may be open at once."""


class LdapServer(Server):
    """Where a directory is, how to bind, and where to search."""

    urls: Annotated[tuple[LdapUrl, ...], Field(min_length=1)]
    """Servers that are tried in turn: `ldap://HOST`, `ldaps://HOST`, `ldapi://%2Frun%2Fslapd%2Fldapi`."""
    tls: Literal["starttls", "none"] = "starttls"
    """How `ldap://` is secured. `none` sends the password in clear: on loopback only."""
    ca_file: ReadableFile | None = None
    """The certificates to trust, in PEM; the system's if it is not given."""
    bind_dn: str = ""
    """Who asks; nobody if not given."""
    password_file: SecretFile | None = None
    """The password of `bind_dn` is the first line of this file, which others must not be able to
    read."""
    external: Switch = False
    """Bind by SASL EXTERNAL instead: as the user this runs as, over `ldapi://`."""
    base: Name
    """Where the entries are."""
    scope: Literal["sub", "one", "base"] = "sub"
    """How far below `base`."""

    @model_validator(mode="after")
    def _possible(self) -> "LdapServer":
        if self.external and (self.bind_dn or self.password_file):
            raise ValueError("external: needs no bind_dn and no password_file; remove them")
        if bool(self.bind_dn) != bool(self.password_file):
            raise ValueError("bind_dn: goes with password_file; write both or neither")
        return self

    def options(self, key: str) -> LdapOptions:
        """These keys as one value.

        Args:
            key: this section's: `accounts.staff`.
        """
        return LdapOptions(key, **{name: getattr(self, name) for name in LdapServer.model_fields})


class SqlServer(Server):
    """Which database."""

    url: DatabaseUrl
    """Which database: `sqlite:////var/lib/autocreate/accounts.db`, `postgresql://USER@HOST/DATABASE`,
    `mysql://USER@HOST/DATABASE`. A file of SQLite's may be replaced at any time, in any way; a lookup waits
    `timeout` seconds for whoever locks or writes it."""
    password_file: SecretFile | None = None
    """The password is the first line of this file, which others must not be able to read."""

    def options(self, key: str) -> SqlOptions:
        """These keys as one value.

        Args:
            key: this section's: `accounts.staff`.
        """
        return SqlOptions(key, **{name: getattr(self, name) for name in SqlServer.model_fields})
