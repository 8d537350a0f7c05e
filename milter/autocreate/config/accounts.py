"""[accounts.NAME]: one section a type of account source."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Field, model_validator

from autocreate.config.servers import LdapServer, SqlServer
from autocreate.config.types import (
    Cached,
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
    """What every type of source has."""

    cache_seconds: Cached = 60.0
    """How long a user who was found is remembered: an account that is removed counts as long."""
    cache_negative_seconds: Cached = 10.0
    """How long a no is remembered: an account that is added is unknown as long, at most."""
    cache_error_seconds: Cached = 2.0
    """How long a bad answer about a user is remembered, so that a burst of mail asks once."""
    cache_size: Annotated[Whole, Field(ge=1)] = 10_000
    """How many users are remembered of each kind, at most."""


class FileAccounts(_Accounts):
    """One user a line, passwd(5), or a Postfix table."""

    type: Literal["file"]
    path: ReadableFile
    """The file. What precedes the first colon of a line is the user; `#` begins a comment line.
    Read again whenever it changes."""
    groups: ReadableFile | None = None
    """A file like group(5) with the users' groups. One that is empty, or younger than two seconds, is a
    doubt about everybody's."""
    format: Literal["lines", "postfix"] = "lines"
    """`postfix`: the text of a table as for postmap(1), whose keys are the users."""
    domains: tuple[Domain, ...] = ()
    """For `postfix`: a key `joe@example.org` is the user `joe` too, if its domain is one of these."""
    cache_seconds: Cached = 0.0
    """As for every source; the file is in memory anyway."""
    cache_negative_seconds: Cached = 0.0
    """As for every source."""
    cache_error_seconds: Cached = 0.0
    """As for every source."""


class _SystemAccounts(_Accounts):
    """What sources of this machine's users have."""

    min_uid: Annotated[Whole, Field(ge=0)] = 1000
    """Users below this number are the system's and get no mailbox."""
    max_uid: Annotated[Whole, Field(ge=0)] = 60000
    """Users above this number get none either."""
    timeout: Seconds = 2.0
    """Seconds for a look-up, in whatever nsswitch.conf(5) names; less than `milter.deadline`."""

    @model_validator(mode="after")
    def _has_room(self) -> "_SystemAccounts":
        if self.max_uid < self.min_uid:
            raise ValueError(f"max_uid: nobody has a number from {self.min_uid} to {self.max_uid}")
        return self


class NssAccounts(_SystemAccounts):
    """The users of this machine, as getpwnam(3) knows them: passwd(5), SSSD and the like."""

    type: Literal["nss"]


class ShadowAccounts(_SystemAccounts):
    """The users of this machine, but for locked and expired ones: shadow(5) besides passwd(5)."""

    type: Literal["shadow"]


class SasldbAccounts(_Accounts):
    """The users of Cyrus SASL's own database. Only its keys are read, never a password."""

    type: Literal["sasldb"]
    path: ReadableFile = Field(Path("/etc/sasldb2"), validate_default=True)
    """The database, a Berkeley DB."""
    realm: Name | None = None
    """The realm of users without `@`; this host's name if not given, as for saslpasswd2(8)."""


class LdapAccounts(LdapServer, _Accounts):
    """An LDAP directory, asked by a filter of yours.

    In filters, `{user}` stands for the user id, `{local}` and `{domain}` for what precedes and follows
    its `@`; they are escaped. Referrals are not followed.
    """

    type: Literal["ldap"]
    filter: LdapFilter = "(uid={user})"
    """Finds the entry of a user, and no other."""
    user_attribute: Name = "uid"
    """The attribute that holds the user id. Capitals count as for Cyrus: `username_tolower`."""
    attributes: tuple[Name, ...] = ()
    """Further attributes of the entry, for `quota_attribute` and `partition_attribute` of policies."""
    member_of: Name | None = None
    """The attribute of a user's entry that names the groups, such as `memberOf`."""
    groups_base: Name | None = None
    """Where groups are; `base` if not given."""
    groups_filter: LdapGroupsFilter | None = None
    """Finds a user's groups: `(&(objectClass=groupOfNames)(member={dn}))`, where `{dn}` stands for the
    name of the user's entry, or `(&(objectClass=posixGroup)(memberUid={user}))`. `{user}` also stands for
    the name as the user's entry spells it."""
    group_attribute: Name = "cn"
    """The attribute of a group's entry that holds its name."""


class SqlAccounts(SqlServer, _Accounts):
    """A database, asked by queries of yours. They take the user id as `:user`, and what precedes and
    follows its `@` as `:local` and `:domain`."""

    type: Literal["sql"]
    query: Name
    """Selects the user id as its first column, in one row at most. Further columns are attributes, for
    `quota_attribute` and `partition_attribute` of policies. `:user` is in lower case, as Cyrus has it:
    a column with capitals that is compared to the letter needs `lower(userid) = :user`."""
    groups_query: Name | None = None
    """Selects one group name of the user a row. Where the account's name has capitals it is asked for
    either spelling."""
    list_query: Name | None = None
    """Selects all user ids, one a row, for what is done to all users at once."""


Accounts = Annotated[
    FileAccounts | LdapAccounts | NssAccounts | SasldbAccounts | ShadowAccounts | SqlAccounts,
    Discriminator("type"),
]
