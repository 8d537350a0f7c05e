"""[[policy]]: who gets a mailbox, and which tree."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from autocreate.config.types import (
    Domain,
    Identifier,
    Limit,
    Name,
    Partition,
    Rights,
    ScriptFile,
    Section,
    Size,
    SpecialUse,
    Switch,
)
from autocreate.core.naming import NOT_IN_FOLDER, Mailboxes
from autocreate.errors import Refused
from autocreate.imapdconf.settings import ImapdConf

Service = Literal["lmtp", "imap", "pop3", "sieve"]


class Folder(Section):
    """A folder of a policy, `/` between its levels; "INBOX" is INBOX itself."""

    name: str
    """Its name, in any script."""
    special_use: SpecialUse | None = None
    """What it is for (RFC 6154), such as `\\\\Sent`; only right below INBOX."""
    subscribe: Switch = False
    """The user is subscribed to it."""
    acl: Mapping[Identifier, Rights] = {}
    """Rights (RFC 4314) of others: `{ anyone = "p" }`."""
    partition: Partition | None = None
    """Where Cyrus puts it; its own choice if not given."""

    @property
    def path(self) -> tuple[str, ...]:
        return () if self.name == "INBOX" else tuple(self.name.removeprefix("INBOX/").split("/"))

    @model_validator(mode="after")
    def _possible(self) -> "Folder":
        if not all(level and level.isprintable() for level in self.path):
            raise ValueError('name: write it like "Sent" or "Archive/2026"')
        if impossible := sorted(NOT_IN_FOLDER & set(self.name)):
            raise ValueError(
                f"name: {self.name!r} has {' '.join(impossible)}, which Cyrus cannot have"
            )
        if self.path and self.path[0].upper() == "INBOX":
            raise ValueError('name: what is INBOX to a user in any case is written "INBOX"')
        try:
            Mailboxes("/").as_user(self.path)
        except Refused as refusal:
            raise ValueError(f"name: {refusal}") from refusal
        if self.special_use and len(self.path) != 1:
            raise ValueError(
                "special_use: Cyrus gives it only to folders right below INBOX, "
                f"which {self.name!r} is not"
            )
        return self


class Policy(Section):
    """[[policy]]: for whom, and what they get. The first that matches counts.

    Without `users` and `groups` a policy is for everyone, else for any of them; `domains` narrows
    it. With no policy in the file every account gets an INBOX; with some, who matches none gets none.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """What the log calls it."""
    users: tuple[str, ...] = ()
    """User ids it is for; in any case, unless `cyrus.username_tolower` is off."""
    groups: tuple[str, ...] = ()
    """Groups whose members it is for, by the account source that knows the user. Case and the number
    of spaces in their names do not count."""
    domains: tuple[Domain, ...] = ()
    """Only for recipients of these domains."""
    services: tuple[Service, ...] = ()
    """Only for mail (`lmtp`), or for logins to these: so may mail and logins have rules of their own.
    For all of them if it is not given."""
    create: Switch = True
    """`false`: these users get no mailbox, and are refused as long as they have none."""
    quota: Size | None = None
    """The quota in storage: `"2G"`, `"500M"`; a bare number counts KiB. 0 is no limit, as in
    `autocreate_quota` of imapd.conf: an existing limit is removed. If it is not given, an existing
    limit is left as it is."""
    quota_attribute: Name | None = None
    """What the account source calls this user's own quota: an LDAP attribute, or a further column of
    the SQL query. 0 is no limit. `quota` counts where the user has none, or one that makes no sense
    (logged)."""
    quota_unit: Literal["B", "K", "M", "G", "T"] = "K"
    """What a bare number in `quota_attribute` counts: bytes, KiB, MiB and so on."""
    quota_messages: Limit | None = None
    """The quota in messages. 0 and a limit that is not given are as in `quota`."""
    partition: Partition | None = None
    """Where Cyrus puts INBOX and what is below it; its own choice if not given."""
    partition_attribute: Name | None = None
    """What the account source calls this user's own partition, as in `quota_attribute`."""
    folders: tuple[Folder, ...] = ()
    """Folders below INBOX; one that is named `INBOX` says more about INBOX itself."""
    subscribe_shared: tuple[Name, ...] = ()
    """Shared folders the user is subscribed to, `/` between levels. Those that are not there, or not
    for the user, are left out. `["*"]` for all that the user may see; Cyrus then looks at every
    mailbox it has."""
    sieve: ScriptFile | None = None
    """A Sieve script for those who have none, called as its file; active before their first message."""
    sieve_compiled: Path | None = None
    """With `cyrus.sieve` = `files`: what Cyrus's sievec made of the script, so that it need not run."""
    sieve_keep_compiled: Switch = False
    """With `cyrus.sieve` = `files`: if `sieve_compiled` is not there, keep there what was compiled."""

    @model_validator(mode="after")
    def _distinct(self) -> "Policy":
        names = [folder.path for folder in self.folders]
        twice = next((path for path in names if names.count(path) > 1), None)
        if twice is not None:
            raise ValueError(f"folders: {'/'.join(twice) or 'INBOX'!r} is there twice")
        uses = [folder.special_use for folder in self.folders if folder.special_use]
        if use := next((use for use in uses if uses.count(use) > 1), None):
            raise ValueError(
                f"folders: two are for {use}; clients look for one, so mark one of them"
            )
        if (self.sieve_compiled or self.sieve_keep_compiled) and not self.sieve:
            raise ValueError("sieve: is missing; name the script that is to be compiled")
        if self.sieve_keep_compiled and not self.sieve_compiled:
            raise ValueError("sieve_compiled: is missing; name the file to keep the script in")
        if (self.partition or self.partition_attribute) and any(
            folder.partition for folder in self.folders if folder.path == ()
        ):
            raise ValueError("partition: the folder INBOX says another; write one of them")
        return self


def impossible_folders(policies: Iterable[Policy], conf: ImapdConf) -> Iterator[str]:
    """Folders of policies that this Cyrus can never have, or whose owners could not see them.

    Args:
        conf: the Cyrus's configuration.
    """
    for policy in policies:
        for folder in policy.folders:
            try:
                conf.mailboxes.as_user(folder.path)
            except Refused as refusal:
                yield f"policy {policy.name!r}: folders: {refusal} (by {conf.path})"
