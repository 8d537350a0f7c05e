"""Domains in a text file, one a line."""

from collections.abc import Callable

from autocreate.aliases.file import VirtualFile
from autocreate.aliases.syntax import AliasText
from autocreate.domains.syntax import parse_domains


class DomainFile(VirtualFile):
    """A domain a line, whatever follows it there."""

    _parse: Callable[[str], AliasText] = staticmethod(parse_domains)
    _fold: Callable[[str], str] = staticmethod(str.lower)
