"""Aliases in an LDAP directory, found by the administrator's filter.

Values are escaped before they are put into the filter, so an address cannot change it. Groups whose members are
entries are expanded as in ldap_table(5).
"""

import re
from collections.abc import Iterator, Sequence

import ldap.dn
from ldapurl import LDAP_SCOPE_ONELEVEL, LDAP_SCOPE_SUBTREE, LDAPUrl

from autocreate.aliases.asked_table import AskedTable
from autocreate.aliases.syntax import key_parts, one_value
from autocreate.backends.ldap import DirectoryServer, fill
from autocreate.backends.ldap_connection import Entry
from autocreate.backends.options import LdapOptions
from autocreate.errors import MalformedValue, Temporary

MAX_DEPTH = 100  # groups in groups
MAX_SIZE = 10_000  # entries of one alias

_ANY_ENTRY = "(objectClass=*)"
_SCOPES = {LDAP_SCOPE_ONELEVEL: "one", LDAP_SCOPE_SUBTREE: "sub"}


class LdapTable(AskedTable):
    """Aliases that a filter finds.

    In the filter, `{key}` is the key, `{local}` and `{domain}` are the parts before and after its `@`.

    Args:
        name: what the configuration calls this table.
        server: the directory.
        filter: finds the entries of an alias, whose targets are all added.
        target_attribute: has the targets, or is empty.
        dn_attribute: has DNs or URLs of further entries, whose targets are added; or is empty.
        leaf_attribute: has the targets of entries without `dn_attribute`; or is empty.

    Raises:
        ConfigurationError: the password cannot be read.
    """

    def __init__(
        self,
        name: str,
        server: LdapOptions,
        *,
        filter: str,
        target_attribute: str,
        dn_attribute: str,
        leaf_attribute: str,
    ) -> None:
        super().__init__(name, ", ".join(server.urls))
        self._base = server.base
        self._scope = server.scope
        self._filter = filter
        self._attributes = (target_attribute, dn_attribute, leaf_attribute)
        self._server = DirectoryServer(server)

    def close(self) -> None:
        """Close every connection."""
        self._server.close()

    def _targets(self, key: str) -> list[str]:
        """The targets of an alias. An entry without any is not an alias: many users' entries have none."""
        asked = fill(self._filter, **key_parts(key))
        expansion = _Expansion(self._server, *self._attributes)
        entries = self._server.find_all(self._base, self._scope, asked, expansion.attributes)
        return list(dict.fromkeys(expansion.targets(entries)))


class _Expansion:
    """Follows the entries of one alias to their targets."""

    def __init__(self, server: DirectoryServer, target: str, dn: str, leaf: str) -> None:
        self._server = server
        self._target, self._dn, self._leaf = target.lower(), dn.lower(), leaf.lower()
        self.attributes = [it for it in (target, dn, leaf) if it]
        self._seen: set[str] = set()

    def targets(self, entries: Sequence[Entry], path: tuple[str, ...] = ()) -> Iterator[str]:
        """The targets of these entries, and of those that they name.

        Raises:
            Temporary: a target is not an address, groups form a loop, or there are too many entries.
        """
        for entry in entries:
            if entry.dn in path:
                raise Temporary(f"groups form a loop: {' -> '.join((*path, entry.dn))}")
            if entry.dn in self._seen:
                continue
            self._seen.add(entry.dn)
            if len(path) > MAX_DEPTH or len(self._seen) > MAX_SIZE:
                raise Temporary(
                    f"{(*path, entry.dn)[0]} has groups nested more than {MAX_DEPTH} levels deep, or more "
                    f"than {MAX_SIZE} members"
                )
            names = _values(entry, self._dn)
            for attribute in (self._target, "" if names else self._leaf):
                for value in _values(entry, attribute):
                    yield from _addresses(entry.dn, attribute, value)
            for name in names:
                yield from self.targets(self._named(name), (*path, entry.dn))

    def _named(self, name: str) -> list[Entry]:
        """The entry of a DN, or those of an LDAP URL (RFC 4516); none if there is no such entry."""
        if not re.match(r"(?i)ldap[si]?://", name):
            return self._server.find_below(name, "base", _ANY_ENTRY, self.attributes)
        try:
            url = LDAPUrl(name)
        except ValueError as error:
            raise Temporary(f"{self._dn}: {name[:100]!r} is not an LDAP URL") from error
        wanted = {it.lower() for it in url.attrs or self.attributes}
        attributes = [it for it in self.attributes if it.lower() in wanted]
        if not attributes:
            return []
        scope = _SCOPES.get(url.scope, "base")
        return self._server.find_below(url.dn, scope, url.filterstr or _ANY_ENTRY, attributes)


def _values(entry: Entry, attribute: str) -> list[str]:
    """The values of an attribute, also those with options (`mail;lang-de`, RFC 4512)."""
    found: list[str] = []
    for described, values in entry.values.items():
        if not attribute or described.partition(";")[0] != attribute:
            continue
        found += filter(None, map(str.strip, values))
    return found


def _addresses(dn: str, attribute: str, value: str) -> Sequence[str]:
    what = f"{dn}: {attribute} is {value[:100]!r}"
    if ldap.dn.is_dn(value) and ("," in value or "@" not in value) and "=" in value:
        raise Temporary(
            f"{what}, a DN and not an address: write this attribute as dn_attribute, and the "
            "attribute with the address of that entry as leaf_attribute"
        )
    try:
        return one_value(value)
    except MalformedValue as error:
        raise Temporary(f"{what}: {error}") from error
