"""Tables of aliases. One module a kind of place; `TABLES` is the list of their types.

A table has three answers as an account source has: an entry, none, and `Temporary` for "cannot tell".
A fourth lies between: none, but with a doubt (a line that cannot be read, a file that somebody is
writing). Known users need not wait for it to be mended, but nobody is refused meanwhile.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from autocreate.core.aliases import Found
from autocreate.core.aliaskeys import Style


class AliasTable(Protocol):
    """A table of aliases, wherever it is kept. Called from several threads at once.

    It is made with the name that the configuration gives it, and with the keys of its section that do
    not say how it is to be asked.
    """

    name: str

    def find(self, keys: Sequence[str]) -> Found:
        """The first of `keys`, addresses and local parts as they are written, that has an entry.

        Raises:
            Temporary: the table cannot be read or did not answer.
        """

    def close(self) -> None:
        """Let go of connections and files. The table is not used afterwards."""


class Type(NamedTuple):
    """A type of table.

    Args:
        module, factory: where its code is. Loaded only when a configuration names it.
        style: how it is asked, if its configuration does not say.
        may_include: its writer is the administrator, who may name files.
    """

    module: str
    factory: str
    style: Style = Style.VIRTUAL
    may_include: bool = False


TABLES = {
    "file": Type("autocreate.accounts.aliasfile", "VirtualFile"),
    "aliases": Type("autocreate.accounts.aliasfile", "AliasesFile", Style.ALIASES, True),
    "virtusertable": Type("autocreate.accounts.aliasfile", "VirtualFile", Style.VIRTUSERTABLE),
    "ldap": Type("autocreate.accounts.aliasldap", "LdapTable"),
    "postmap": Type("autocreate.accounts.postmap", "PostmapTable", may_include=True),
    "sql": Type("autocreate.accounts.aliassql", "SqlTable"),
}
