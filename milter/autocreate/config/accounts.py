"""[accounts.NAME]: one section a type of account source."""

from typing import Annotated, Literal

from pydantic import Discriminator

from autocreate.config.types import DatabaseUrl, Name, ReadableFile, Seconds, Section


class FileAccounts(Section):
    """One user a line, or passwd(5)."""

    type: Literal["file"]
    path: ReadableFile
    """The file. What precedes the first colon of a line is the user; `#` begins a comment line.
    Read again whenever it changes."""
    groups: ReadableFile | None = None
    """A file like group(5) with the users' groups."""


class NssAccounts(Section):
    """The users of this machine, as getpwnam(3) knows them: passwd(5), SSSD and the like."""

    type: Literal["nss"]
    min_uid: int = 1000
    """Users below this number are the system's and get no mailbox."""
    max_uid: int = 60000
    """Users above this number get none either."""


class SqlAccounts(Section):
    """A database, asked by a query of yours."""

    type: Literal["sql"]
    url: DatabaseUrl
    """Which database, as SQLAlchemy writes it: `sqlite:////var/lib/autocreate/accounts.db`."""
    query: Name
    """Takes the user id as `:user` and selects it as its first column, in one row at most, spelled
    as Cyrus spells it."""
    groups_query: str | None = None
    """Takes `:user` and selects one group name a row."""
    timeout: Seconds = 5.0
    """Seconds to wait for a locked SQLite database."""


Accounts = Annotated[FileAccounts | NssAccounts | SqlAccounts, Discriminator("type")]
