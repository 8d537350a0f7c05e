"""[aliases.NAME]: one section a type of alias table."""

from typing import Annotated, Literal

from pydantic import Discriminator

from autocreate.config.types import Directory, Domain, Map, ReadableFile, Seconds, Section


class VirtualFile(Section):
    """A text as virtual(5) has it, `key value` a line: what texthash: of Postfix reads."""

    type: Literal["file"]
    path: ReadableFile
    """The file. Read again whenever it changes."""
    style: Literal["virtual", "canonical"] = "virtual"
    """What it is to Postfix: one of `virtual_alias_maps`, or of `canonical_maps` and
    `recipient_canonical_maps`, which are applied once and before."""
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
    style: Literal["virtual", "canonical", "aliases"] = "virtual"
    """What it is to Postfix: one of `virtual_alias_maps`, of `canonical_maps` and
    `recipient_canonical_maps`, or of `alias_maps`."""
    domains: tuple[Domain, ...] | None = None
    """As for `aliases` if that is its style, else as for `file`."""
    origin: Domain | Literal[""] = ""
    """As for `file`."""
    config_directory: Directory | None = None
    """Where main.cf is, if not in Postfix's own place."""
    timeout: Seconds = 5.0
    """Seconds to wait for the answer."""


Aliases = Annotated[VirtualFile | AliasesFile | Virtusertable | Postmap, Discriminator("type")]
