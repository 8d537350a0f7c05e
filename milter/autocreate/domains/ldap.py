"""Domains in an LDAP directory, found by the administrator's filter."""

from autocreate.aliases.ldap import LdapTable
from autocreate.backends.ldap import fill
from autocreate.backends.options import LdapOptions
from autocreate.domains.syntax import domain_parts

_NO_ATTRIBUTES = "1.1"  # RFC 4511, section 4.5.1.8


class LdapDomains(LdapTable):
    """Domains for which a filter finds an entry. In it, `{domain}` is the domain."""

    def __init__(self, name: str, server: LdapOptions, *, filter: str) -> None:
        super().__init__(
            name,
            server,
            filter=filter,
            target_attribute=_NO_ATTRIBUTES,
            dn_attribute="",
            leaf_attribute="",
        )

    def _targets(self, key: str) -> list[str]:
        asked = fill(self._filter, **domain_parts(key))
        found = self._server.find_all(self._base, self._scope, asked, [_NO_ATTRIBUTES])
        return [key] if found else []
