"""[domains.NAME]: one section a type of table of domains."""

from typing import Annotated, Literal

from pydantic import Discriminator

from autocreate.config.servers import LdapServer, SqlServer
from autocreate.config.types import (
    Directory,
    LdapDomainFilter,
    Map,
    Name,
    ReadableFile,
    Seconds,
    Section,
)


class DomainFile(Section):
    """A text with a domain a line. What follows a domain on its line does not count."""

    type: Literal["file"]
    path: ReadableFile
    """The file. Read again whenever it changes."""


class DomainPostmap(Section):
    """Any table that Postfix can read, asked by `postmap -q`."""

    type: Literal["postmap"]
    map: Map
    """Type and name as in main.cf: `mysql:/etc/postfix/domains.cf`. The file must be readable for the
    user that this program runs as."""
    config_directory: Directory | None = None
    """Where main.cf is, if not in Postfix's own place."""
    timeout: Seconds = 5.0
    """Seconds to wait for the answer."""


class SqlDomains(SqlServer):
    """A database, asked by a query of yours.

    It takes the domain as `:domain`, in lower case. A domain beyond ASCII is asked for in A-labels
    (`xn--...`) and in U-labels.
    """

    type: Literal["sql"]
    query: Name
    """Selects a row if the domain is hosted here. No row, or an empty first column: it is not."""


class LdapDomains(LdapServer):
    """An LDAP directory, asked by a filter of yours.

    In it, `{domain}` stands for what `:domain` stands for in a query of `sql`, escaped. Referrals are
    not followed.
    """

    type: Literal["ldap"]
    filter: LdapDomainFilter
    """Finds an entry if the domain is hosted here, such as `(domainName={domain})`."""


Domains = Annotated[DomainFile | LdapDomains | DomainPostmap | SqlDomains, Discriminator("type")]
