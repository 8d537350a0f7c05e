"""Whose account a database found. It may spell a name differently than Cyrus, and find more than was asked for.

LDAP, most collations of MariaDB, SSSD and winbind ignore case. LDAP (RFC 4518) and Unicode collations
also find `joe` for full-width letters, accents or odd spaces.
"""

import unicodedata
from collections.abc import Container, Iterable, Sequence

from autocreate.core.naming import Users, is_possible, lowered
from autocreate.core.unicode import normalized
from autocreate.errors import Temporary


class Spellings:
    """Names that are not spelled as Cyrus spells them, to be found by how Cyrus does.

    For databases that compare names to the letter. Only the odd names are kept, since there are few.
    """

    def __init__(self, names: Iterable[str], users: Users) -> None:
        self._odd: dict[str, list[str]] = {}
        for name in names:
            key = lowered(users.of_account(name))
            if key != name:
                self._odd.setdefault(key, []).append(name)

    def of(self, user: str, names: Container[str] = ()) -> Sequence[str]:
        """The names that may be meant by `user`, who is in lower case wherever Cyrus lowers mail.

        Args:
            names: all that the database has, odd or not.
        """
        plain = [user] if user in names else []
        return [*plain, *self._odd.get(user, ())]


def own_name(user: str, found: Sequence[str], users: Users) -> str | None:
    """Which of the names that a database found is the name of `user`'s account.

    Args:
        found: at least one, unless the database says that the account exists and does not name it.

    Returns:
        The name as it is spelled there. None: it belongs to another user that merely looks alike, and
        no Cyrus user can have the name that was asked for. So nobody has it, which is authoritative.

    Raises:
        Temporary: the names say neither. Its text begins with the names.
    """
    if user in found and users.of_account(user) == user:
        return user
    own = sorted({name for name in found if users.of_account(name) == user})
    if len(own) == 1:
        return own[0]
    told = ", ".join(map(repr, own or found)) or "nothing"
    if own:
        raise Temporary(
            f"{told} when asked for {user!r}; to Cyrus these are one user: rename all but one"
        )
    alike = [name for name in found if _skeleton(name) == _skeleton(user)]
    if alike and not is_possible(user) and all(is_possible(users.of_account(it)) for it in alike):
        return None
    if lowered(user) in map(lowered, found):
        raise Temporary(
            f"{told} when asked for {user!r}, who is another user to Cyrus: lmtp_downcase_rcpt or "
            "username_tolower is off"
        )
    raise Temporary(
        f"{told} when asked for {user!r}; it must be the user id, spelled as Cyrus spells it but for "
        "capitals"
    )


def shared_groups(wanted: Iterable[str], groups: Iterable[str]) -> list[str]:
    """Which of the wanted groups are among these. Case and spaces are ignored, as LDAP does for `cn`."""
    present = {_group_key(group) for group in groups}
    return sorted(group for group in wanted if _group_key(group) in present)


def _group_key(name: str) -> str:
    """A name as caseIgnoreMatch compares it (RFC 4518): NFKC, folded, single spaces."""
    return " ".join(normalized("NFKC", name).casefold().split())


def _skeleton(text: str) -> str:
    """What is left of a text without case, width, accents, spaces and invisible characters."""
    decomposed = normalized("NFKD", normalized("NFKD", text).casefold())
    return "".join(it for it in decomposed if unicodedata.category(it)[0] not in "MZC")
