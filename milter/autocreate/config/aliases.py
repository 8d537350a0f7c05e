"""[aliases.NAME]: one section a type of alias table."""

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
    """A text as virtual(5) has it, `key value` a line: what texthash: of Postfix reads."""

    type: Literal["file"]
    path: ReadableFile
    """The file. Read again whenever it changes."""
    style: Literal["virtual", "canonical"] = "virtual"
    """What it is to Postfix: one of `virtual_alias_maps`, or of `canonical_maps` and
    `recipient_canonical_maps`, which are applied once and before."""
    domains: tuple[Domain, ...] = ()
    """Where a bare local part is looked up after the whole address: Postfix's `mydestination`. `origin`
    and an address of this host (`joe@[192.0.2.1]`), which Postfix takes for local too, need not be
    named."""
    origin: Domain | Literal[""] = ""
    """Postfix's `myorigin`: what a bare address in a value gets as its domain. Without it, such an
    address names a local user, as to Sendmail."""
    alias_domains: tuple[Domain, ...] = ()
    """Domains that have nothing but aliases: Postfix's `virtual_alias_domains`. An address there that has
    no alias does not exist."""


class AliasesFile(Section):
    """A text as aliases(5) has it, `name: value, value`, of Postfix or Sendmail."""

    type: Literal["aliases"]
    path: ReadableFile
    """The file. Read again whenever it changes, like those that an `:include:` in it names."""
    style: Literal["aliases", "sendmail", "sendmail-5"] = "aliases"
    """Who reads it: Postfix's local(8) (`aliases`) or Sendmail. For `sales+x`, local(8) looks up `sales+x`
    and `sales`, Sendmail `sales+x` alone; `sales+*` and `sales` too if its mailer has flag 5
    (`sendmail-5`). `cyrusv2` has it not, `local` has."""
    domains: tuple[Domain, ...] | None = None
    """Where its names are local parts: Postfix's `mydestination`, Sendmail's class w. Without it, in
    all of `milter.domains`."""
    origin: Domain | Literal[""] = ""
    """As for `file`: local(8) sends mail for a bare address in a value to that address at `myorigin`."""


class Virtusertable(Section):
    """The text that Sendmail's virtusertable is made of."""

    type: Literal["virtusertable"]
    path: ReadableFile
    """The file. Read again whenever it changes."""


class Postmap(Section):
    """Any table that Postfix can read, asked by `postmap -q`."""

    type: Literal["postmap"]
    map: Map
    """Type and name as in main.cf: `hash:/etc/postfix/virtual`. The file must be readable for the user
    that this program runs as."""
    style: Literal["virtual", "canonical", "aliases"] = "virtual"
    """What it is to Postfix: one of `virtual_alias_maps`, of `canonical_maps` and
    `recipient_canonical_maps`, or of `alias_maps`."""
    domains: tuple[Domain, ...] | None = None
    """As for `aliases` if that is its style, else as for `file`."""
    origin: Domain | Literal[""] = ""
    """As for `file` and `aliases`."""
    alias_domains: tuple[Domain, ...] = ()
    """As for `file`."""
    config_directory: Directory | None = None
    """Where main.cf is, if not in Postfix's own place."""
    timeout: Seconds = 5.0
    """Seconds to wait for the answer."""


class SqlAliases(SqlServer):
    """A database, asked by a query of yours.

    It takes the address or the local part that is looked up as `:key`, without quotes and in lower case
    as Postfix has it (`strasse` for `Straße`), and what precedes and follows its `@` as `:local` and
    `:domain`; a catch-all is `@example.org`.
    """

    type: Literal["sql"]
    query: Name
    """Selects a target a row as its first column. No row: there is no such alias. A row that could be a
    name as well as several targets (`Doe, Joe <joe@example.org>`) is a temporary error."""
    style: Literal["virtual", "aliases", "sendmail", "sendmail-5"] = "virtual"
    """Whether whole addresses are looked up, as virtual(5) does, or local parts, as aliases(5) does: as
    the style of `aliases` says."""
    domains: tuple[Domain, ...] | None = None
    """As for `file` if its style is `virtual`, else as for `aliases`."""
    origin: Domain | Literal[""] = ""
    """As for `file` and `aliases`."""
    alias_domains: tuple[Domain, ...] = ()
    """As for `file`."""


class LdapAliases(LdapServer):
    """An LDAP directory, asked by a filter of yours.

    In it, `{key}`, `{local}` and `{domain}` stand for what they stand for in a query of `sql`; they are
    escaped. Referrals are not followed.
    """

    type: Literal["ldap"]
    filter: LdapAliasFilter
    """Finds the entries of an alias, such as `(mailAlternateAddress={key})`."""
    target_attribute: str = ""
    """The attribute that holds the targets, one a value: `mailForwardingAddress`, `rfc822MailMember`,
    `uid`. A value that could be a name as well as several targets (`Doe, Joe <joe@example.org>`) is a
    temporary error, and so is the name of an entry (`uid=joe,ou=people,dc=example,dc=org`)."""
    dn_attribute: str = ""
    """The attribute that holds the names of entries, or LDAP URLs: `member`, `uniqueMember`, `memberURL`. The
    entries' targets count as well. It is Postfix's `special_result_attribute`; where there is no such
    entry, that member is left out, as Postfix does."""
    leaf_attribute: str = ""
    """The attribute that holds the targets of those entries that have no `dn_attribute`: `mail`. It is
    Postfix's `leaf_result_attribute`."""
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
