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
    """The keys of every server."""

    timeout: Seconds = 2.0
    """Seconds for the connection and for each answer. Must be less than `milter.deadline`."""
    connections: Annotated[Whole, Field(ge=1, le=100)] = 4
    """The greatest number of open connections."""


class LdapServer(Server):
    """An LDAP directory: where it is, how to bind, and where to search."""

    urls: Annotated[tuple[LdapUrl, ...], Field(min_length=1)]
    """The servers, tried in turn: `ldap://HOST`, `ldaps://HOST`, `ldapi://%2Frun%2Fslapd%2Fldapi`."""
    tls: Literal["starttls", "none"] = "starttls"
    """How `ldap://` is secured. `none` sends the password unencrypted: use it on loopback only."""
    ca_file: ReadableFile | None = None
    """The certificates to trust, in PEM. Default: the system's."""
    bind_dn: str = ""
    """The entry to bind as. Default: bind anonymously."""
    password_file: SecretFile | None = None
    """A file whose first line is the password of `bind_dn`. Others must not be able to read it."""
    external: Switch = False
    """Bind by SASL EXTERNAL instead, as the Unix user of this process, over `ldapi://`."""
    base: Name
    """The entry below which to search."""
    scope: Literal["sub", "one", "base"] = "sub"
    """How far below `base` to search: the whole subtree, one level, or `base` alone."""

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
    """An SQL database."""

    url: DatabaseUrl
    """The database: `sqlite:////var/lib/autocreate/accounts.db`, `postgresql://USER@HOST/DATABASE`,
    `mysql://USER@HOST/DATABASE`. An SQLite file may be replaced at any time and in any way; a lookup waits
    up to `timeout` seconds while another process locks or writes it."""
    password_file: SecretFile | None = None
    """A file whose first line is the password. Others must not be able to read it."""

    def options(self, key: str) -> SqlOptions:
        """These keys as one value.

        Args:
            key: this section's: `accounts.staff`.
        """
        return SqlOptions(key, **{name: getattr(self, name) for name in SqlServer.model_fields})
