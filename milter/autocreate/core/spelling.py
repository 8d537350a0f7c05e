"""Whose account a database found. It may spell a name differently than Cyrus, and find more than was asked for.

LDAP, most collations of MariaDB, SSSD and winbind ignore case. LDAP (RFC 4518) and Unicode collations
also find `joe` for full-width letters, accents or odd spaces.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import islice

from autocreate.core.naming import Users, is_possible, lowered
from autocreate.core.text_index import TextIndexBuilder
from autocreate.core.unicode import normalized
from autocreate.errors import Temporary

# Names that are compared at a time.
_AT_A_TIME = 4096


class Spellings:
    """Names that are not spelled as Cyrus spells them, to be found by how Cyrus does.

    For databases that compare names to the letter. Only the odd names are kept, since there are few.
    """

    def __init__(self, names: Iterable[str], users: Users) -> None:
        self._users = users
        odd = TextIndexBuilder()
        possible = (name for name in names if "\n" not in name)
        while some := list(islice(possible, _AT_A_TIME)):
            keys = spelling_keys(some, users)
            pairs = [it for it in zip(keys, some, strict=True) if it[0] != it[1]]
            odd.add([key for key, _ in pairs], [name for _, name in pairs])
        self._odd = odd.built()

    def of(self, user: str) -> Sequence[str]:
        """The odd names that may be meant by `user`, who is in lower case wherever Cyrus lowers mail."""
        found = dict.fromkeys(self._odd.find(user))
        return [name for name in found if spelling_key(name, self._users) == user]


def spelling_key(name: str, users: Users) -> str:
    """What all spellings of a name have in common: the user id, in lower case."""
    return lowered(users.of_account(name))


def spelling_keys(names: Sequence[str], users: Users) -> Sequence[str]:
    """`spelling_key` of some thousand names, ten times as fast.

    Args:
        names: none has a line feed.
    """
    joined = "\n".join(names)
    lower = joined.lower() if joined.isascii() else lowered(joined)
    keys = names if lower == joined else lower.split("\n")
    if users.virtual_domains and "@" in joined:
        ours = f"@{users.default_domain}"
        return [key[:-1] if key.endswith("@") else key.removesuffix(ours) for key in keys]
    return keys


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
