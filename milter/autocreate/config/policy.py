"""[[policy]]: who gets a mailbox, and which tree."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from autocreate.config.program import Program
from autocreate.config.types import (
    Domain,
    Entry,
    Identifier,
    Language,
    Limit,
    MessageFile,
    Name,
    NameOrNames,
    Partition,
    Rights,
    ScriptFile,
    Seconds,
    Section,
    ServerName,
    Size,
    SpecialUse,
    Switch,
)
from autocreate.core.annotations import entry_problem, full_name, value_problem
from autocreate.core.naming import NOT_IN_FOLDER, Mailboxes
from autocreate.core.placeholders import filled, names_in
from autocreate.core.sizes import limit
from autocreate.errors import Refused
from autocreate.imapdconf.settings import ImapdConf
from autocreate.tree import values

Service = Literal["lmtp", "imap", "pop3", "sieve"]


class Folder(Section):
    """A folder of a policy, `/` between its levels; "INBOX" is INBOX itself."""

    name: NameOrNames
    """Its name, in any script; or its name in each language: `{ en = "Sent", de = "Gesendet" }`. `{user}`
    and `{attribute}` are filled in: see docs/trees.md."""
    special_use: SpecialUse | None = None
    """Its special use (RFC 6154), such as `\\\\Sent`; only directly below INBOX."""
    subscribe: Switch = False
    """The user is subscribed to it."""
    acl: Mapping[Identifier, Rights] = {}
    """Rights (RFC 4314) of others: `{ anyone = "p" }`."""
    partition: Partition | None = None
    """The partition it is created on; Cyrus chooses if it is not given."""
    annotations: Mapping[Entry, str] = {}
    """Its annotations (METADATA, RFC 5464): `{ "/vendor/cmu/cyrus-imapd/expire" = "30" }`. They are shared
    ones; write `/private/...` for one of the user's own, such as `/private/comment`. `{user}` and
    `{attribute}` are filled in."""

    @property
    def names(self) -> dict[str, str]:
        """The name in each language; "" for a folder with one name."""
        return {"": self.name} if isinstance(self.name, str) else dict(self.name)

    @property
    def paths(self) -> dict[str, values.Path]:
        """The path in each language, as `names`."""
        return {language: _path(name) for language, name in self.names.items()}

    @property
    def is_inbox(self) -> bool:
        return () in self.paths.values()

    def value(self, language: str) -> values.Folder:
        """The folder that the policy wants, in its default language."""
        paths = self.paths
        return values.Folder(
            paths.get("", paths.get(language, ())),
            special_use=self.special_use,
            subscribe=self.subscribe,
            acl=tuple(self.acl.items()),
            partition=self.partition,
            annotations=tuple((full_name(it), value) for it, value in self.annotations.items()),
            names=() if "" in paths else tuple(paths.items()),
        )

    @model_validator(mode="after")
    def _possible(self) -> "Folder":
        if not self.names:
            raise ValueError('name: write it like { en = "Sent", de = "Gesendet" }')
        for name in self.names.values():
            _check_name(name)
            if self.special_use and len(_path(name)) != 1:
                raise ValueError(
                    "special_use: Cyrus gives it only to folders directly below INBOX, "
                    f"which {name!r} is not"
                )
        if self.is_inbox and "" not in self.names:
            raise ValueError('name: INBOX has one name in every language: "INBOX"')
        for entry, value in self.annotations.items():
            problem = entry_problem(full_name(entry))
            if not problem and not names_in(value):
                problem = value_problem(full_name(entry), value)
            if problem:
                raise ValueError(f"annotations: {entry}: {problem}")
        names = [full_name(entry) for entry in self.annotations]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"annotations: {twice} is listed twice")
        return self

    @property
    def placeholders(self) -> list[str]:
        """The names in braces, in lower case."""
        texts = (*self.names.values(), *self.annotations.values())
        return list(dict.fromkeys(name for text in texts for name in names_in(text)))


class Policy(Section):
    """[[policy]]: for whom, and what they get. The first that matches is used.

    Without `users` and `groups` a policy is for everyone, else for any of them; `domains` narrows
    it. With no policy in the file every account gets an INBOX; with some, an account that matches
    none gets none.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """Its name in the log."""
    users: tuple[str, ...] = ()
    """User ids it is for; in any case, unless `cyrus.username_tolower` is off."""
    groups: tuple[str, ...] = ()
    """Groups whose members it is for, by the account source that knows the user. Case and the number
    of spaces in their names do not count."""
    domains: tuple[Domain, ...] = ()
    """Only for recipients of these domains."""
    services: tuple[Service, ...] = ()
    """Only for mail (`lmtp`), or for logins to these services, so that mail and logins can have
    different policies. For all of them if it is not given."""
    create: Switch = True
    """`false`: these users get no mailbox, and are refused as long as they have none."""
    quota: Size | None = None
    """The quota in storage: `"2G"`, `"500M"`; a bare number counts KiB. 0 is no limit, as in
    `autocreate_quota` of imapd.conf: an existing limit is removed. If it is not given, an existing
    limit is left as it is."""
    quota_attribute: Name | None = None
    """The name of the user's own quota in the account source: an LDAP attribute, or a further column
    of the SQL query. 0 is no limit. `quota` is used if the user has none, or one that makes no sense
    (logged)."""
    quota_unit: Literal["B", "K", "M", "G", "T"] = "K"
    """The unit of a bare number in `quota_attribute`: bytes, KiB, MiB and so on."""
    quota_messages: Limit | None = None
    """The quota in messages. 0 and a limit that is not given are as in `quota`."""
    partition: Partition | None = None
    """The partition for INBOX and the folders below it; Cyrus chooses if it is not given."""
    partition_attribute: Name | None = None
    """The name of the user's own partition in the account source, as in `quota_attribute`."""
    language: Language = "en"
    """The language of folders' names for users of whom no other is known."""
    language_attribute: Name | None = None
    """The name of the user's languages in the account source, such as LDAP's `preferredLanguage`: `de`, or
    `de-AT, en;q=0.5`. The first one in which the folders have names is used, otherwise `language`."""
    server: ServerName | None = None
    """The backend of a Murder, one of `cyrus.murder.backends`, at which INBOX is created. `cyrus.murder.place`
    decides if it is not given. A mailbox that exists stays where it is."""
    folders: tuple[Folder, ...] = ()
    """Folders below INBOX; one named `INBOX` is for INBOX itself."""
    subscribe_shared: tuple[Name, ...] = ()
    """Shared folders the user is subscribed to, `/` between levels. Those that do not exist, or that
    the user may not see, are left out. `["*"]` for all that the user may see; Cyrus then looks at every
    mailbox it has."""
    sieve: ScriptFile | None = None
    """A Sieve script for users who have none, named after its file; active before their first message."""
    sieve_placeholders: Switch = False
    """Fill in `{user}` and `{attribute}` in the strings of the script. Users without a value get no script."""
    sieve_compiled: Path | None = None
    """With `cyrus.sieve` = `files`: the script as compiled by Cyrus's sievec, so that sievec need not run."""
    sieve_keep_compiled: Switch = False
    """With `cyrus.sieve` = `files`: if the file `sieve_compiled` does not exist, keep the compiled
    script there."""
    welcome: MessageFile | None = None
    """A message that is in INBOX before the first mail, in a new mailbox only: with its header fields, as a
    mail program saves it. `{user}`, `{address}`, `{domain}` and the attributes of the account are filled in.
    Delivered once, by LMTP with [lmtp], otherwise by APPEND in the user's name. See docs/welcome.md."""
    on_created: Program | None = None
    """A program and its arguments, run once a new tree is complete: `["/usr/local/lib/autocreate/hook"]`. It
    reads what was made as JSON on its standard input. It runs as the user of this service, and mail does not
    wait for it. If it fails, it is run again, after a pause that grows from a minute to six hours. See
    docs/welcome.md."""
    on_created_timeout: Seconds = 30.0
    """Seconds after which the program is ended, with its whole process group."""

    @model_validator(mode="after")
    def _distinct(self) -> "Policy":
        self._check_languages()
        for language in self._languages() or [self.language]:
            names = [folder.value(language).path for folder in self.folders]
            twice = next((path for path in names if names.count(path) > 1), None)
            if twice is not None:
                where = f" in language {language!r}" if self._languages() else ""
                raise ValueError(f"folders: {'/'.join(twice) or 'INBOX'!r} is listed twice{where}")
        uses = [folder.special_use for folder in self.folders if folder.special_use]
        if use := next((use for use in uses if uses.count(use) > 1), None):
            raise ValueError(
                f"folders: two are for {use}; clients look for one, so mark one of them"
            )
        if (self.sieve_compiled or self.sieve_keep_compiled) and not self.sieve:
            raise ValueError("sieve: is missing; name the script that is to be compiled")
        if self.sieve_placeholders and (self.sieve_compiled or not self.sieve):
            raise ValueError(
                "sieve_placeholders: needs `sieve`, and no sieve_compiled: every user has another script"
            )
        if self.sieve_keep_compiled and not self.sieve_compiled:
            raise ValueError("sieve_compiled: is missing; name the file to keep the script in")
        if not self.create and (self.welcome or self.on_created):
            key = "welcome" if self.welcome else "on_created"
            raise ValueError(f"{key}: has no effect with create = false; remove it")
        if (self.partition or self.partition_attribute) and any(
            folder.partition for folder in self.folders if folder.is_inbox
        ):
            raise ValueError(
                "partition: the folder INBOX has a different one; write only one of them"
            )
        return self

    def _languages(self) -> list[str]:
        """The languages in which folders have names."""
        return list(dict.fromkeys(it for folder in self.folders for it in folder.names if it))

    def _check_languages(self) -> None:
        languages = self._languages()
        if self.language_attribute and not languages:
            raise ValueError("language_attribute: has no effect, no folder has names by language")
        for folder in self.folders:
            missing = sorted(set(languages) - set(folder.names))
            if "" not in folder.names and missing:
                raise ValueError(
                    f"folders: {next(iter(folder.names.values()))!r} has no name in {', '.join(missing)}"
                )
        if languages and self.language not in languages:
            raise ValueError(f"language: the folders have no names in {self.language!r}")

    def tree(self) -> values.Tree:
        """The tree that the policy wants, but for the script, which is in a file."""
        wanted = (folder.value(self.language) for folder in self.folders)
        folders = {folder.path: folder for folder in wanted}
        inbox = folders.pop((), values.Folder())
        inbox = replace(inbox, partition=self.partition or inbox.partition, server=self.server)
        return values.Tree(
            (inbox, *folders.values()),
            values.Quota(_limit(self.quota), _limit(self.quota_messages)),
            self.subscribe_shared,
        )


def impossible_folders(policies: Iterable[Policy], conf: ImapdConf) -> Iterator[str]:
    """Folders of policies that this Cyrus can never have, or whose owners could not see them.

    Args:
        conf: the Cyrus's configuration.
    """
    for policy in policies:
        for folder in policy.folders:
            for name in folder.names.values():
                try:
                    conf.mailboxes.as_user(_path(_sample(name)))
                except Refused as refusal:
                    yield f"policy {policy.name!r}: folders: {refusal} (by {conf.path})"


def _path(name: str) -> values.Path:
    return () if name == "INBOX" else tuple(name.removeprefix("INBOX/").split("/"))


def _sample(name: str) -> str:
    """A name with something in the place of what is filled in for each account."""
    return filled(name, dict.fromkeys(names_in(name), "x"))


def _check_name(name: str) -> None:
    sample = _sample(name)
    path = _path(sample)
    if not all(level and level.isprintable() for level in path):
        raise ValueError('name: write it like "Sent" or "Archive/2026"')
    if impossible := sorted(NOT_IN_FOLDER & set(sample)):
        raise ValueError(f"name: {name!r} has {' '.join(impossible)}, which Cyrus does not allow")
    if path and path[0].upper() == "INBOX":
        raise ValueError('name: write INBOX in capitals: "INBOX"')
    try:
        Mailboxes("/").as_user(path)
    except Refused as refusal:
        raise ValueError(f"name: {refusal}") from refusal


def _limit(value: int | None) -> int | None:
    return None if value is None else limit(value)
