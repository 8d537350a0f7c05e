"""[aliases.NAME]: one section a type of alias table."""

from typing import Annotated, Literal

from pydantic import Discriminator

from autocreate.config.types import Directory, Domain, Map, ReadableFile, Seconds, Section


class VirtualFile(Section):
    """A text as virtual(5) has it, `key value` a line: what texthash: of Postfix reads."""

    type: Literal["file"]
    path: ReadableFile
    """The file. Read again whenever it changes."""
    domains: tuple[Domain, ...] = ()
    """Where a bare local part is looked up after the whole address: Postfix's `mydestination`."""
    origin: Domain | Literal[""] = ""
    """What a bare address in a value gets as its domain, as Postfix's `myorigin`. Without it, it names a
    local user."""


class AliasesFile(Section):
    """A text as aliases(5) has it, `name: value, value`, of Postfix or Sendmail."""

    type: Literal["aliases"]
    path: ReadableFile
    """The file. Read again whenever it changes, like those that an `:include:` in it names."""
    domains: tuple[Domain, ...] | None = None
    """Where its names are local parts: Postfix's `mydestination`, Sendmail's class w. Without it, in
    all of `milter.domains`."""


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
    style: Literal["virtual", "aliases"] = "virtual"
    """What it is to Postfix: one of `virtual_alias_maps`, or one of `alias_maps`."""
    domains: tuple[Domain, ...] | None = None
    """As for `file` if its style is virtual, as for `aliases` if it is that."""
    origin: Domain | Literal[""] = ""
    """As for `file`."""
    config_directory: Directory | None = None
    """Where main.cf is, if not in Postfix's own place."""
    timeout: Seconds = 5.0
    """Seconds to wait for the answer."""


Aliases = Annotated[VirtualFile | AliasesFile | Virtusertable | Postmap, Discriminator("type")]
