"""[aliases.NAME]: one section for each type of alias table."""

from typing import Annotated, Literal

from pydantic import Discriminator, model_validator

from autocreate.config.servers import LdapServer, SqlServer
from autocreate.config.types import (
    Directory,
    Domain,
    LdapAliasFilter,
    Map,
    Name,
    ReadableFile,
    Seconds,
    Section,
)


class VirtualFile(Section):
    """A text file in the format of virtual(5), one `key value` per line, as Postfix's texthash: reads it."""

    type: Literal["file"]
    path: ReadableFile
    """The file. It is read again whenever it changes."""
    style: Literal["virtual", "canonical"] = "virtual"
    """Where Postfix uses it: in `virtual_alias_maps`, or in `canonical_maps` or
    `recipient_canonical_maps`, which are applied once, before all others."""
    domains: tuple[Domain, ...] = ()
    """The domains where the local part alone is looked up after the whole address: Postfix's
    `mydestination`. `origin` and addresses of this host (`joe@[192.0.2.1]`) need not be listed: they are
    local anyway, as in Postfix."""
    origin: Domain | Literal[""] = ""
    """Postfix's `myorigin`: the domain that is appended to an address without one in a value. If it is not
    given, such an address is a local user, as in Sendmail."""
    alias_domains: tuple[Domain, ...] = ()
    """Domains that have only aliases: Postfix's `virtual_alias_domains`. An address there without an alias
    does not exist."""


class AliasesFile(Section):
    """A text file in the format of aliases(5), `name: value, value`, of Postfix or Sendmail."""

    type: Literal["aliases"]
    path: ReadableFile
    """The file. It, and files that an `:include:` in it names, are read again whenever they change."""
    style: Literal["aliases", "sendmail", "sendmail-5"] = "aliases"
    """Which MTA reads it: Postfix's local(8) (`aliases`) or Sendmail. For `sales+x`, local(8) looks up
    `sales+x` and `sales`. Sendmail looks up `sales+x` alone, or also `sales+*` and `sales` if its mailer has
    flag 5 (`sendmail-5`): `local` has the flag, `cyrusv2` does not."""
    domains: tuple[Domain, ...] | None = None
    """The domains whose local parts are looked up: Postfix's `mydestination`, Sendmail's class w. Default:
    all of `milter.domains`."""
    origin: Domain | Literal[""] = ""
    """As for `file`: local(8) appends `myorigin` to an address without a domain in a value."""


class Virtusertable(Section):
    """The source text of Sendmail's virtusertable."""

    type: Literal["virtusertable"]
    path: ReadableFile
    """The file. It is read again whenever it changes."""


class Postmap(Section):
    """Any table that Postfix can read, queried with `postmap -q`."""

    type: Literal["postmap"]
    map: Map
    """Type and name as in main.cf: `hash:/etc/postfix/virtual`. The user of this process must be able to
    read the file."""
    style: Literal["virtual", "canonical", "aliases"] = "virtual"
    """Where Postfix uses it: in `virtual_alias_maps`, in `canonical_maps` or
    `recipient_canonical_maps`, or in `alias_maps`."""
    domains: tuple[Domain, ...] | None = None
    """With the style `aliases` as for `aliases`, otherwise as for `file`."""
    origin: Domain | Literal[""] = ""
    """As for `file` and `aliases`."""
    alias_domains: tuple[Domain, ...] = ()
    """As for `file`."""
    config_directory: Directory | None = None
    """The directory of main.cf. Default: Postfix's own."""
    timeout: Seconds = 5.0
    """Seconds to wait for an answer."""


class SqlAliases(SqlServer):
    """An SQL database, asked by your query.

    `:key` is the address or the local part that is looked up, without quotes and in lower case as in Postfix
    (`strasse` for `Straße`). `:local` and `:domain` are the parts before and after its `@`. A catch-all has
    the key `@example.org`.
    """

    type: Literal["sql"]
    query: Name
    """Selects the targets as the first column, one per row. No row means that there is no such alias. A
    value that could be one name or several targets (`Doe, Joe <joe@example.org>`) is a temporary error."""
    style: Literal["virtual", "aliases", "sendmail", "sendmail-5"] = "virtual"
    """`virtual` looks up whole addresses, as virtual(5) does. The others look up local parts, as aliases(5)
    does: see the style of `aliases`."""
    domains: tuple[Domain, ...] | None = None
    """With the style `virtual` as for `file`, otherwise as for `aliases`."""
    origin: Domain | Literal[""] = ""
    """As for `file` and `aliases`."""
    alias_domains: tuple[Domain, ...] = ()
    """As for `file`."""


class LdapAliases(LdapServer):
    """An LDAP directory, searched with your filter.

    In the filter, `{key}`, `{local}` and `{domain}` are replaced by the same values as `:key`, `:local` and
    `:domain` in a query of `sql`. The values are escaped. Referrals are not followed.
    """

    type: Literal["ldap"]
    filter: LdapAliasFilter
    """Finds the entries of an alias, such as `(mailAlternateAddress={key})`."""
    target_attribute: str = ""
    """The attribute with the targets, one per value: `mailForwardingAddress`, `rfc822MailMember`, `uid`. A
    value that could be one name or several targets (`Doe, Joe <joe@example.org>`) is a temporary error, and
    so is a DN (`uid=joe,ou=people,dc=example,dc=org`)."""
    dn_attribute: str = ""
    """The attribute with DNs or LDAP URLs of further entries: `member`, `uniqueMember`, `memberURL`. The
    targets of those entries are added. It is Postfix's `special_result_attribute`; as in Postfix, a member
    without an entry is left out."""
    leaf_attribute: str = ""
    """The attribute with the targets of entries without a `dn_attribute`, such as `mail`. It is Postfix's
    `leaf_result_attribute`."""
    style: Literal["virtual", "aliases", "sendmail", "sendmail-5"] = "virtual"
    """As for `sql`."""
    domains: tuple[Domain, ...] | None = None
    """As for `sql`."""
    origin: Domain | Literal[""] = ""
    """As for `file` and `aliases`."""
    alias_domains: tuple[Domain, ...] = ()
    """As for `file`."""

    @model_validator(mode="after")
    def _has_targets(self) -> "LdapAliases":
        if not self.target_attribute and not self.leaf_attribute:
            raise ValueError("target_attribute: is missing, and so is leaf_attribute; write one")
        if self.leaf_attribute and not self.dn_attribute:
            raise ValueError("leaf_attribute: goes with dn_attribute")
        return self


Aliases = Annotated[
    VirtualFile | AliasesFile | LdapAliases | Postmap | SqlAliases | Virtusertable,
    Discriminator("type"),
]
