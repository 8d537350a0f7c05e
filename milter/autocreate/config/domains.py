"""[domains.NAME]: one section for each type of domain table."""

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
    """A text file with one domain per line. The rest of a line after the domain is ignored."""

    type: Literal["file"]
    path: ReadableFile
    """The file. It is read again whenever it changes."""


class DomainPostmap(Section):
    """Any table that Postfix can read, queried with `postmap -q`."""

    type: Literal["postmap"]
    map: Map
    """Type and name as in main.cf: `mysql:/etc/postfix/domains.cf`. The user of this process must be able
    to read the file."""
    config_directory: Directory | None = None
    """The directory of main.cf. Default: Postfix's own."""
    timeout: Seconds = 5.0
    """Seconds to wait for an answer."""


class SqlDomains(SqlServer):
    """An SQL database, asked by your query.

    `:domain` is the domain in lower case. An internationalized domain is looked up in A-labels (`xn--...`)
    and in U-labels.
    """

    type: Literal["sql"]
    query: Name
    """Selects a row if the domain is hosted here. No row, or an empty first column, means that it is not."""


class LdapDomains(LdapServer):
    """An LDAP directory, searched with your filter.

    In the filter, `{domain}` is replaced by the same value as `:domain` in a query of `sql`. It is escaped.
    Referrals are not followed.
    """

    type: Literal["ldap"]
    filter: LdapDomainFilter
    """Must find an entry if the domain is hosted here: `(domainName={domain})`."""


Domains = Annotated[DomainFile | LdapDomains | DomainPostmap | SqlDomains, Discriminator("type")]
