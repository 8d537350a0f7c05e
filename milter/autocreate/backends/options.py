"""The options of a database server, as values that the configuration makes and hands down.

Nothing here has a default: defaults are in `autocreate.config.servers`, once. The names of the fields are
those of the keys.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LdapOptions:
    """Where an LDAP directory is, how to bind, and where to search.

    Args:
        key: where the configuration names the directory, for errors: `accounts.staff`.
        urls: tried in turn: `ldap://`, `ldaps://` or `ldapi://` ones.
        tls: "starttls" or "none", for `ldap://`. Certificates are always verified.
        ca_file: the certificates to trust, or None for the system's.
        bind_dn: "" to bind anonymously, or by SASL EXTERNAL.
        password_file: its first line is the password of `bind_dn`; None if there is none.
        external: bind by SASL EXTERNAL, as the user of this process (`ldapi://`).
        timeout: seconds for a connection, and for each answer.
        connections: how many may be open at once.
        base: the entry below which to search.
        scope: "base", "one" or "sub".
    """

    key: str
    urls: tuple[str, ...]
    tls: str
    ca_file: Path | None
    bind_dn: str
    password_file: Path | None
    external: bool
    timeout: float
    connections: int
    base: str
    scope: str


@dataclass(frozen=True, slots=True)
class SqlOptions:
    """Which SQL database to ask.

    Args:
        key: where the configuration names the database, for errors: `accounts.staff`.
        url: an SQLAlchemy database URL, without a password.
        password_file: its first line is the password; None if none is needed.
        timeout: seconds for the connection, for each answer, and for an SQLite file that another process
            locks or writes.
        connections: how many may be open at once.
    """

    key: str
    url: str
    password_file: Path | None
    timeout: float
    connections: int


def is_secret(option: str) -> bool:
    """Is the value of an option in a database URL a password? By the names of libpq, PyMySQL and other drivers."""
    name = option.lower()
    return "passw" in name or "passphrase" in name or name in ("pass", "pwd")
