"""Domains in a text file, one per line."""

from collections.abc import Callable, Iterator

from autocreate.aliases.file import VirtualFile
from autocreate.aliases.texts import AliasText
from autocreate.domains.syntax import parse_domains


class DomainFile(VirtualFile):
    """One domain per line; the rest of the line is ignored."""

    _parse: Callable[[Iterator[str]], AliasText] = staticmethod(parse_domains)
    _fold: Callable[[str], str] = staticmethod(str.lower)
