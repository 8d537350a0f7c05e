"""Accounts in an LDAP directory, found by the administrator's filter.

Values are escaped before they are put into the filter, so a user id cannot change it.
"""

from collections.abc import Iterator, Sequence

import ldap.dn

from autocreate.accounts import account_of
from autocreate.backends.ldap import DirectoryServer, fill
from autocreate.backends.ldap_connection import Entry
from autocreate.backends.options import LdapOptions
from autocreate.core.naming import Users
from autocreate.errors import Temporary
from autocreate.model import Account

_DN = "dn"  # the attribute of an account with the DN of its entry


class LdapSource:
    """Users that a filter finds.

    In filters, `{user}` is the user id, `{local}` and `{domain}` are the parts before and after its `@`.
    In `groups_filter`, `{dn}` is the DN of the user's entry.

    Args:
        name: what the configuration calls this source.
        server: the directory.
        users: how the names of accounts become user ids.
        filter: finds one entry at most.
        user_attribute: has the user id; its case is compared as Cyrus does.
        attributes: further ones, which become attributes of the account.
        member_of: the attribute of a user's entry with the groups; None if there is none.
        groups_base: where groups are; None for the base of `server`.
        groups_filter: finds the groups of a user; None: no such search.
        group_attribute: the attribute of a group's entry with its name.

    Raises:
        ConfigurationError: the password cannot be read.
    """

    def __init__(
        self,
        name: str,
        server: LdapOptions,
        users: Users,
        *,
        filter: str,
        user_attribute: str,
        attributes: Sequence[str],
        member_of: str | None,
        groups_base: str | None,
        groups_filter: str | None,
        group_attribute: str,
    ) -> None:
        self.name = name
        self._users = users
        self.has_groups = bool(member_of or groups_filter)
        self._base = server.base
        self._scope = server.scope
        self._filter = filter
        self._user_attribute = user_attribute
        self._member_of = member_of
        self._groups_base = groups_base or server.base
        self._groups_filter = groups_filter
        self._group_attribute = group_attribute
        wanted = {user_attribute, *attributes} | ({member_of} if member_of else set())
        self._attributes = tuple(sorted(wanted))
        self._server = DirectoryServer(server)

    def lookup(self, user: str) -> Account | None:
        """See `AccountSource.lookup`."""
        entry = self._entry(user)
        if entry is None:
            return None
        spelled = entry.values.get(self._user_attribute.lower(), ())
        attributes = [(name, value) for name, values in entry.values.items() for value in values]
        try:
            return account_of(user, self.name, spelled, self._users, (*attributes, (_DN, entry.dn)))
        except Temporary as error:
            raise Temporary(f"{entry.dn}: its {self._user_attribute} is {error}") from error

    def groups(self, account: Account) -> frozenset[str]:
        """See `AccountSource.groups`."""
        if not account.values(_DN) or account.source != self.name:
            found = self.lookup(account.user)
            if found is None:
                return frozenset()
            account = found
        groups = {_name_of(value) for value in account.values(self._member_of or "")}
        if self._groups_filter:
            groups |= self._searched_groups(self._groups_filter, account)
        return frozenset(groups)

    def names(self) -> Iterator[str]:
        """See `AccountSource.names`."""
        anyone = self._filter.replace("{user}", "*").replace("{local}", "*")
        for entry in self._server.pages(
            self._base, self._scope, anyone.replace("{domain}", "*"), self._user_attribute
        ):
            yield from entry.values.get(self._user_attribute.lower(), ())[:1]

    def close(self) -> None:
        """Close every connection."""
        self._server.close()

    def _entry(self, user: str) -> Entry | None:
        asked = fill(self._filter, **_parts(user))
        return self._server.find_one(self._base, self._scope, asked, self._attributes)

    def _searched_groups(self, filter_: str, account: Account) -> set[str]:
        # `memberUid` is case-sensitive (RFC 2307), and has the name as the user's entry spells it.
        dn = account.values(_DN)[0]
        filters = [fill(filter_, **_parts(name), dn=dn) for name in account.spellings]
        asked = f"(|{''.join(dict.fromkeys(filters))})" if len(filters) > 1 else filters[0]
        found = self._server.find_all(self._groups_base, "sub", asked, [self._group_attribute])
        return {
            value
            for entry in found
            for value in entry.values.get(self._group_attribute.lower(), ())
        }


def _parts(user: str) -> dict[str, str]:
    local, _, domain = user.partition("@")
    return {"user": user, "local": local, "domain": domain}


def _name_of(group: str) -> str:
    """`staff` of `cn=staff,ou=groups,...`; a value that is not a DN is itself the name."""
    try:
        parts = ldap.dn.str2dn(group)
    except ldap.DECODING_ERROR:
        return group
    return str(parts[0][0][1]) if parts else group
