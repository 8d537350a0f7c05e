"""[accounts.NAME]: one section for each type of account source."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Field, model_validator

from autocreate.config.servers import LdapServer, SqlServer
from autocreate.config.types import (
    Cached,
    ChangedQuery,
    Domain,
    LdapFilter,
    LdapGroupsFilter,
    Name,
    ReadableFile,
    Seconds,
    Section,
    Whole,
)


class _Accounts(Section):
    """The keys of every type of source."""

    cache_seconds: Cached = 60.0
    """Seconds for which a user who was found is cached. An account that was removed still counts for that
    long."""
    cache_negative_seconds: Cached = 10.0
    """Seconds for which an unknown user is cached. A new account is unknown for at most that long."""
    cache_error_seconds: Cached = 2.0
    """Seconds for which a failed lookup of a user is cached, so that a burst of mail asks only once."""
    cache_size: Annotated[Whole, Field(ge=1)] = 10_000
    """The greatest number of cached users of each kind: found, unknown, failed."""


class FileAccounts(_Accounts):
    """A text file: one user per line, passwd(5), or a Postfix table."""

    type: Literal["file"]
    path: ReadableFile
    """The file. The text before the first colon of a line is the user. `#` begins a comment line.
    The file is read again whenever it changes."""
    groups: ReadableFile | None = None
    """A file like group(5) with the users' groups. Lookups of groups fail while it is empty, or was changed
    less than two seconds ago."""
    format: Literal["lines", "postfix"] = "lines"
    """`lines`: one user per line, or passwd(5). `postfix`: the source text of a Postfix table, as for
    postmap(1); its keys are the users."""
    domains: tuple[Domain, ...] = ()
    """For `postfix`: a key `joe@example.org` is also the user `joe` if its domain is one of these."""
    cache_seconds: Cached = 0.0
    """As for every source. The file is in memory anyway."""
    cache_negative_seconds: Cached = 0.0
    """As for every source."""
    cache_error_seconds: Cached = 0.0
    """As for every source."""


class _SystemAccounts(_Accounts):
    """The keys of both types of source for the users of this machine."""

    min_uid: Annotated[Whole, Field(ge=0)] = 1000
    """Users with a lower user number are system users. They count as unknown and get no mailbox."""
    max_uid: Annotated[Whole, Field(ge=0)] = 60000
    """Users with a higher user number count as unknown too."""
    timeout: Seconds = 2.0
    """Seconds for a lookup in all services of nsswitch.conf(5). Must be less than `milter.deadline`."""

    @model_validator(mode="after")
    def _has_room(self) -> "_SystemAccounts":
        if self.max_uid < self.min_uid:
            raise ValueError(
                f"max_uid: is less than min_uid ({self.min_uid}), so no user would count"
            )
        return self


class NssAccounts(_SystemAccounts):
    """The users of this machine, as getpwnam(3) finds them: in passwd(5), SSSD and so on."""

    type: Literal["nss"]


class ShadowAccounts(_SystemAccounts):
    """The users of this machine, except locked and expired ones: passwd(5) and shadow(5)."""

    type: Literal["shadow"]


class SasldbAccounts(_Accounts):
    """The users of Cyrus SASL's own database, sasldb. Only names are read, never a password."""

    type: Literal["sasldb"]
    path: ReadableFile = Field(Path("/etc/sasldb2"), validate_default=True)
    """The database, in Berkeley DB format."""
    realm: Name | None = None
    """The realm of users without `@`. Default: this host's name, as for saslpasswd2(8)."""


class LdapAccounts(LdapServer, _Accounts):
    """An LDAP directory, searched with your filter.

    In filters, `{user}` is replaced by the user id, and `{local}` and `{domain}` by the parts before and
    after its `@`. The values are escaped. Referrals are not followed.
    """

    type: Literal["ldap"]
    filter: LdapFilter = "(uid={user})"
    """Must find the entry of the user and no other."""
    user_attribute: Name = "uid"
    """The attribute with the user id. Upper and lower case are compared as Cyrus does: see
    `username_tolower`."""
    attributes: tuple[Name, ...] = ()
    """Further attributes to read, for policies: `quota_attribute`, `partition_attribute`, `language_attribute`,
    and `{attribute}` in names, annotations and scripts."""
    member_of: Name | None = None
    """The attribute of a user's entry with the names of the user's groups, such as `memberOf`."""
    groups_base: Name | None = None
    """The entry below which to search for groups. Default: `base`."""
    groups_filter: LdapGroupsFilter | None = None
    """Finds the groups of a user: `(&(objectClass=groupOfNames)(member={dn}))`, where `{dn}` is the DN of
    the user's entry, or `(&(objectClass=posixGroup)(memberUid={user}))`. If the user's entry spells the
    name differently, the filter is tried with both spellings."""
    group_attribute: Name = "cn"
    """The attribute of a group's entry with the name of the group."""
    changed_attribute: Name = "modifyTimestamp"
    """The attribute with the time at which an entry was added or changed, for [watch]. Active Directory:
    `whenChanged`. An index for it (`index modifyTimestamp eq`) keeps searches for changes short."""


class SqlAccounts(SqlServer, _Accounts):
    """An SQL database, asked by your queries. `:user` is the user id, `:local` and `:domain` are the parts
    before and after its `@`."""

    type: Literal["sql"]
    query: Name
    """Selects the user id as the first column, in at most one row. Further columns are attributes, for
    policies: `quota_attribute`, `partition_attribute`, `language_attribute`, and `{attribute}`. `:user` is
    in lower case, as in Cyrus: if the column has capitals and its comparison is case-sensitive, write
    `lower(userid) = :user`."""
    groups_query: Name | None = None
    """Selects the user's groups, one name per row. If the account's name has capitals, the query runs with
    either spelling."""
    list_query: Name | None = None
    """Selects all user ids, one per row. Needed by commands that work on all users."""
    changed_query: ChangedQuery | None = None
    """Selects the user ids of accounts that were added or changed at `:since` or later, one per row, for [watch].
    `:since` is a whole number: seconds since the epoch. PostgreSQL: `changed >= to_timestamp(:since)`; MariaDB:
    `changed >= from_unixtime(:since)`; SQLite: `changed >= datetime(:since, 'unixepoch')`."""


Accounts = Annotated[
    FileAccounts | LdapAccounts | NssAccounts | SasldbAccounts | ShadowAccounts | SqlAccounts,
    Discriminator("type"),
]
