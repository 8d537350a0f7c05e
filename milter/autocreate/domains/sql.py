"""Domains in an SQL database, found by the administrator's query."""

from collections.abc import Callable

from autocreate.aliases.sql import SqlTable
from autocreate.domains.syntax import domain_parts


class SqlDomains(SqlTable):
    """Domains for which a query finds a row. In it, `:domain` is the domain."""

    _parts: Callable[[str], dict[str, str]] = staticmethod(domain_parts)

    def _targets(self, key: str) -> list[str]:
        return self._values(key)
