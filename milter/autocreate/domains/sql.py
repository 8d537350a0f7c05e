"""Domains in a database, by a query of the administrator's."""

from collections.abc import Callable

from autocreate.aliases.sql import SqlTable
from autocreate.domains.syntax import domain_parts


class SqlDomains(SqlTable):
    """Domains that a query finds, which takes one as `:domain`."""

    _parts: Callable[[str], dict[str, str]] = staticmethod(domain_parts)

    def _targets(self, key: str) -> list[str]:
        return self._values(key)
