"""The text formats of accounts and groups in files: one user a line, passwd(5), a Postfix table; group(5).

A text comes in pieces of whole lines, so that other threads go on while a large one is read.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from autocreate.core.naming import Users
from autocreate.core.spelling import spelling_key, spelling_keys
from autocreate.core.text_index import TextIndex, TextIndexBuilder

# The field of a line of passwd(5) with the number of the primary group.
_GROUP = 3
# Between the parts of a text in an index. No line contains it: it ends one.
_SEPARATOR = "\r"
# Instead of the number of a group: the line ends before it.
_ENDS_BEFORE = "\r"
# Members of a group that are indexed at a time, and characters of its line.
_MEMBERS = 4096
_CHARACTERS = 1 << 16


class User(NamedTuple):
    """The data of a user in its line.

    Args:
        group: the number of its primary group; None if the line ends before it but should have it.
        may_go_on: the file ends with this name, which may be incomplete.
    """

    group: str | None = ""
    may_go_on: bool = False


class UserLines:
    """The users of a text.

    Args:
        index: their names by `spelling_key`, each with the number of its group if its line has more than a name.
        users: how names become user ids.
        is_passwd: at least one line has the number of a group.
        cut: the users in a last line without a line end.
    """

    def __init__(
        self,
        index: TextIndex,
        users: Users,
        is_passwd: bool = False,
        cut: Mapping[str, User] | None = None,
    ) -> None:
        self._index = index
        self._users = users
        self._is_passwd = is_passwd
        self._cut = cut or {}

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[str]:
        """All names; a name of two lines twice."""
        return (entry.partition(_SEPARATOR)[0] for entry in self._index)

    def spellings(self, user: str) -> Sequence[str]:
        """The names that may be meant by `user`, who is in lower case wherever Cyrus lowers mail."""
        key = spelling_key(user, self._users)
        names = [entry.partition(_SEPARATOR)[0] for entry in self._index.find(user)]
        found = dict.fromkeys(it for it in names if spelling_key(it, self._users) == user)
        return [user, *found] if key != user and self._entries(user) else [*found]

    def user(self, name: str) -> User:
        """The data of a user of this name, which exists. Of several lines the last counts."""
        if name in self._cut:
            return self._cut[name]
        group = self._entries(name)[-1].partition(_SEPARATOR)[2]
        if group == _ENDS_BEFORE:
            return User(None if self._is_passwd else "")
        return User(group)

    def _entries(self, name: str) -> list[str]:
        """The entries of exactly this name."""
        found = self._index.find(spelling_key(name, self._users))
        return [entry for entry in found if entry.partition(_SEPARATOR)[0] == name]


class GroupLines:
    """The groups of a text.

    Args:
        count: how many there are.
        members: names of groups by user id, each after the user id.
        numbers: names of groups by number, each after the number.
    """

    def __init__(self, count: int, members: TextIndex, numbers: TextIndex) -> None:
        self._count = count
        self._members = members
        self._numbers = numbers

    def __len__(self) -> int:
        return self._count

    def of(self, user: str, primary: str) -> frozenset[str]:
        """The groups that have a user as a member, and those with the number `primary`, if that is not empty."""
        by_number = _second_parts(self._numbers, primary) if primary else frozenset()
        return _second_parts(self._members, user) | by_number


def parse_users(users: Users, pieces: Iterator[str]) -> UserLines:
    """Read one user a line, or passwd(5): the text before the first colon is the user."""
    index = TextIndexBuilder()
    is_passwd, text, lines = False, "", [""]
    for text in pieces:
        lines = _lines(text)
        has_fields = ":" in text
        is_passwd = is_passwd or (has_fields and any(it.count(":") >= _GROUP for it in lines))
        entries = list(map(_entry, lines)) if has_fields else lines
        names = [it.partition(_SEPARATOR)[0] for it in entries] if has_fields else lines
        index.add(spelling_keys(names, users), entries)
    cut = _cut_user(lines[-1], is_passwd) if _ends_within_a_line(text) else {}
    return UserLines(index.built(), users, is_passwd, cut)


def _entry(line: str) -> str:
    fields = line.split(":", _GROUP + 1)
    name = fields[0].strip()
    if len(fields) == 1:
        return name
    return f"{name}{_SEPARATOR}{fields[_GROUP] if len(fields) > _GROUP else _ENDS_BEFORE}"


def _cut_user(line: str, is_passwd: bool) -> Mapping[str, User]:
    """The user of a line that may go on. Then the number of a group may lack digits."""
    fields = line.split(":")
    name = fields[0].strip()
    if len(fields) == 1:
        return {name: User("", may_go_on=True)}
    return {name: User(fields[_GROUP] if len(fields) > _GROUP + 1 else None)}


def parse_table(domains: Collection[str], users: Users, pieces: Iterator[str]) -> UserLines:
    """Read the keys of a Postfix table, in lower case as Postfix looks them up.

    Args:
        domains: of a key `user@domain`, `user` is a user too if the domain is one of these.
    """
    index = TextIndexBuilder()
    text, names, words = "", [""], [""]
    for text in pieces:
        # A line that begins with white space continues the one before it, unless it is a comment.
        lines = [it for it in text.splitlines() if it.strip() and it[0] not in "# \t"]
        keys = [it.split(maxsplit=1)[0].lower() for it in lines]
        names = [name for key in keys for name in _names_of_key(key, domains)]
        index.add(spelling_keys(names, users), names)
        words = lines[-1].split() if lines else []
    is_cut = len(words) == 1 and _ends_within_a_line(text)
    cut = dict.fromkeys(_names_of_key(words[0].lower(), domains), User("", True)) if is_cut else {}
    return UserLines(index.built(), users, cut=cut)


def _names_of_key(key: str, domains: Collection[str]) -> tuple[str, ...]:
    local, _, domain = key.rpartition("@")
    if local and domain in domains:
        return key, local
    return () if key.startswith("@") else (key,)


def parse_groups(users: Users, pieces: Iterator[str]) -> GroupLines:
    """Read group(5)."""
    count = 0
    numbers, members = TextIndexBuilder(), TextIndexBuilder()
    for text in pieces:
        lines = [it.split(":", _GROUP) for it in _lines(text)]
        count += len(lines)
        some = [(it[2], it[0].strip()) for it in lines if len(it) > 2]
        numbers.add([number for number, _ in some], list(map(_SEPARATOR.join, some)))
        for pairs in _memberships(it for it in lines if len(it) > _GROUP):
            ids = _user_ids([member for member, _ in pairs], users)
            groups = (group for _, group in pairs)
            members.add(ids, list(map(_SEPARATOR.join, zip(ids, groups, strict=True))))
    return GroupLines(count, members.built(), numbers.built())


def _memberships(lines: Iterable[Sequence[str]]) -> Iterator[list[tuple[str, str]]]:
    """The members in the lines and their groups, some thousand at a time, however many a line has."""
    pairs: list[tuple[str, str]] = []
    for name, _, _, listed in lines:
        group = name.strip()
        begin = 0
        while begin < len(listed):
            end = listed.find(",", begin + _CHARACTERS)
            end = len(listed) if end < 0 else end
            pairs += [(member.strip(), group) for member in listed[begin:end].split(",")]
            begin = end + 1
            if len(pairs) >= _MEMBERS:
                yield pairs
                pairs = []
    yield pairs


def _user_ids(names: Sequence[str], users: Users) -> Sequence[str]:
    """`Users.of_account` of some thousand names."""
    if users.logins_to_lower:
        return spelling_keys(names, users)  # the same, and faster
    return list(map(users.of_account, names))


def _second_parts(index: TextIndex, first: str) -> frozenset[str]:
    parts = (entry.split(_SEPARATOR, 1) for entry in index.find(first))
    return frozenset(second for it, second in parts if it == first)


def _ends_within_a_line(text: str) -> bool:
    """Is the last line without a line end? It may be incomplete."""
    return bool(_lines(text.rpartition("\n")[2]))


def _lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
