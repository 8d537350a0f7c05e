"""Aliases in an LDAP directory, by a filter of the administrator's.

Values are escaped before they go into a filter, so no address can be one.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from autocreate.accounts.directoryconnection import Servers
from autocreate.accounts.directoryserver import DirectoryServer, fill
from autocreate.accounts.passwordfile import password
from autocreate.breaker import Breaker
from autocreate.core.aliastable import Found
from autocreate.core.aliastext import folded, key_parts
from autocreate.core.domains import domain_parts

# RFC 4511, section 4.5.1.8.
_NO_ATTRIBUTES = "1.1"


class LdapTable:
    """Aliases that a filter finds.

    The filter takes a key as `{key}`, what precedes and follows its `@` as `{local}` and `{domain}`.

    Args:
        name: what the configuration calls this table.
        urls, tls, ca_file, bind_dn, external, timeout: see `Servers`.
        password_file: its first line is the password of `bind_dn`.
        base, scope: where the entries are.
        filter: finds the entries of an alias. The targets of all of them count.
        target_attribute: holds the targets.
        connections: how many may be open at once.

    Raises:
        ConfigurationError: the password cannot be read.
    """

    _section = "aliases"

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        base: str,
        filter: str,
        target_attribute: str,
        scope: str = "sub",
        tls: str = "starttls",
        ca_file: Path | None = None,
        bind_dn: str = "",
        password_file: Path | None = None,
        external: bool = False,
        timeout: float = 2.0,
        connections: int = 4,
    ) -> None:
        self.name = name
        self._base = base
        self._scope = scope
        self._filter = filter
        self._attribute = target_attribute
        servers = Servers(
            urls=tuple(urls),
            tls=tls,
            ca_file=ca_file,
            bind_dn=bind_dn,
            password=password(f"{self._section}.{name}", password_file),
            external=external,
            timeout=timeout,
        )
        self._server = DirectoryServer(servers, connections)
        self._breaker = Breaker(", ".join(urls))

    def find(self, keys: Sequence[str]) -> Found:
        """See `AliasTable.find`."""
        for position, key in enumerate(map(folded, keys)):
            if targets := self._breaker.call(partial(self._targets, key)):
                return Found(position, ", ".join(targets))
        return Found()

    def close(self) -> None:
        """Close every connection."""
        self._server.close()

    def _targets(self, key: str) -> list[str]:
        """The targets of an alias. An entry without any is no alias: people's entries are so."""
        asked = fill(self._filter, **key_parts(key))
        entries = self._server.find_all(self._base, self._scope, asked, [self._attribute])
        name = self._attribute.lower()
        return [target for entry in entries for target in entry.values.get(name, ())]


class LdapDomains(LdapTable):
    """Domains that a filter finds, which takes one as `{domain}`. An entry is enough."""

    _section = "domains"

    def __init__(self, name: str, **server: Any) -> None:
        super().__init__(name, target_attribute=_NO_ATTRIBUTES, **server)

    def _targets(self, key: str) -> list[str]:
        asked = fill(self._filter, **domain_parts(key))
        found = self._server.find_all(self._base, self._scope, asked, [_NO_ATTRIBUTES])
        return [key] if found else []
