"""Domains in an LDAP directory, by a filter of the administrator's."""

from typing import Any

from autocreate.aliases.ldap import LdapTable
from autocreate.backends.ldap import fill
from autocreate.domains.syntax import domain_parts

_NO_ATTRIBUTES = "1.1"  # RFC 4511, section 4.5.1.8


class LdapDomains(LdapTable):
    """Domains that a filter finds, which takes one as `{domain}`. An entry is enough."""

    _section = "domains"

    def __init__(self, name: str, **server: Any) -> None:
        super().__init__(name, target_attribute=_NO_ATTRIBUTES, **server)

    def _targets(self, key: str) -> list[str]:
        asked = fill(self._filter, **domain_parts(key))
        found = self._server.find_all(self._base, self._scope, asked, [_NO_ATTRIBUTES])
        return [key] if found else []
