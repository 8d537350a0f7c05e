"""imapd.conf as Cyrus reads it: from text to options, by the rules of lib/libconfig.c (Cyrus 3.6).

What an option means to this program is not known here: see `autocreate.imapdconf.settings`. Where Cyrus
stops at the first mistake, every mistake is found; where it ends with "specified twice" for the two
options that its manual lets repeat (`autocreate_acl` and `xlist-FLAG`), they repeat.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from autocreate.core.sizes import GREATEST_LIMIT
from autocreate.errors import MalformedValue
from autocreate.model import Version

T = TypeVar("T")

# isspace(3) in the C locale. Python's own notion of white space is wider.
_SPACE = " \t\n\v\f\r"

_LINE = re.compile(r"(@?[A-Za-z0-9_-]+):(.*)", re.DOTALL)

# strtol(3) with base 0: decimal, octal with a leading 0, hexadecimal with 0x.
_INTEGER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")

_SIZE = re.compile(r"([+-]?[0-9]+)(?:\s*(?:([kKmMgG])[iI]?[bB]?|([bB])))?")
_BYTES = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
BYTE_SIZES_SINCE: Version = (3, 10)

# The names that Cyrus and the patch of the University of Athens had before, the preferred first.
# Cyrus 3.6 never learnt the patch's own spelling of the compiled script.
OLD_NAMES = {
    "autocreate_inbox_folders": ("autocreateinboxfolders",),
    "autocreate_post": ("createonpost",),
    "autocreate_quota": ("autocreatequota",),
    "autocreate_quota_messages": ("autocreatequotamsg",),
    "autocreate_sieve_folders": ("autosievefolders",),
    "autocreate_sieve_script_compile": ("generate_compiled_sieve_script",),
    "autocreate_sieve_script_compiled": (
        "autocreate_sieve_compiled_script",
        "autocreate_sieve_compiledscript",
    ),
    "autocreate_subscribe_folders": ("autosubscribeinboxfolders",),
    "autocreate_subscribe_sharedfolders": ("autosubscribesharedfolders",),
    "autocreate_subscribe_sharedfolders_all": ("autosubscribe_all_sharedfolders",),
}


_NEW_NAMES = {old: new for new, names in OLD_NAMES.items() for old in names}


class Option(NamedTuple):
    """One option as the file has it: the key in lower case, the value, and where it stands."""

    key: str
    value: str
    place: str

    def wrong(self, what: str) -> str:
        """A sentence about this option that an administrator can act upon."""
        return f"{self.place}: {self.key}: {what}"


@dataclass(frozen=True, slots=True)
class Options:
    """Every option of a file and of those it includes, in their order.

    `problems` is what Cyrus would not start on, each with file and line.
    """

    every: tuple[Option, ...]
    problems: tuple[str, ...] = ()
    _first: dict[str, Option] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        first = {option.key: option for option in reversed(self.every)}
        object.__setattr__(self, "_first", first)

    def find(self, name: str, services: Sequence[str] = ()) -> Option | None:
        """The option that decides for a service, or None if there is none.

        A name that a service's own precedes comes before the bare name, and a new name before the
        old ones, wherever they stand.

        Args:
            name: the new name.
            services: entries of cyrus.conf's SERVICES, as in `lmtp_autocreate_users`.
        """
        for spelling in _spellings(name):
            for key in (*(f"{service}_{spelling}" for service in services), spelling):
                if option := self._first.get(key):
                    return option
        return None

    def has_own(self, name: str, service: str) -> bool:
        """Has a service an option for itself?"""
        return any(f"{service}_{spelling}" in self._first for spelling in _spellings(name))


def read(path: str, text: str, include: Callable[[str], str]) -> Options:
    """Read imapd.conf.

    Args:
        path: the file's name, for messages and for telling that it is included again.
        text: what it holds.
        include: returns the text of a file that `@include` names; raises OSError if it cannot.
    """
    problems: list[str] = []
    options = list(_options(path, text, include, {path}, problems))
    seen: dict[str, Option] = {}
    for option in options:
        earlier = seen.setdefault(option.key, option)
        if earlier is not option and not may_repeat(option.key):
            problems.append(option.wrong(f"is there twice, first in {earlier.place}"))
    return Options(tuple(options), tuple(problems))


def _spellings(name: str) -> tuple[str, ...]:
    return (name, *OLD_NAMES.get(name, ()))


def may_repeat(key: str) -> bool:
    """Does imapd.conf(5) let this option be given several times?"""
    return key == "autocreate_acl" or key.startswith("xlist-")


def _options(
    path: str, text: str, include: Callable[[str], str], seen: set[str], problems: list[str]
) -> Iterator[Option]:
    for number, line in _logical_lines(text):
        content = line.lstrip(_SPACE)
        if not content or content.startswith("#"):
            continue
        place = f"{path}, line {number}"
        match = _LINE.fullmatch(content)
        if not match:
            problems.append(f"{place}: is not of the form 'option: value'")
            continue
        key, value = match[1].lower(), match[2].strip(_SPACE)
        if not value:
            problems.append(f"{place}: {key}: has no value; remove the line or give it one")
        elif key == "@include":
            yield from _included(value, place, include, seen, problems)
        elif key.startswith("@"):
            problems.append(f"{place}: {key}: is no directive; Cyrus knows only @include")
        else:
            yield Option(key, value, place)


def _included(
    path: str,
    place: str,
    include: Callable[[str], str],
    seen: set[str],
    problems: list[str],
) -> Iterator[Option]:
    if path in seen:
        problems.append(f"{place}: @include: {path} is included twice")
        return
    seen.add(path)
    try:
        text = include(path)
    except OSError as error:
        problems.append(f"{place}: @include: cannot read {path}: {error.strerror}")
        return
    yield from _options(path, text, include, seen, problems)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines joined where one ends with a backslash, each with the number of its last line.

    The comment test comes after the joining, so a comment can be continued too; the indent of a
    continuing line is kept; and a file that ends with a backslash loses its last line.
    """
    *lines, last = text.split("\n")
    joined = ""
    for number, line in enumerate(lines, start=1):
        joined += line
        if joined.endswith("\\"):
            joined = joined[:-1]
            continue
        yield number, joined
        joined = ""
    if last:  # without a newline at its end, a backslash is an ordinary character
        yield len(lines) + 1, joined + last


def as_switch(option: Option) -> bool:
    """A switch: by its first letters, in lower case only (config_parse_switch).

    Raises:
        MalformedValue: it is none.
    """
    if option.value.startswith(("0", "n", "of", "f")):
        return False
    if option.value.startswith(("1", "y", "on", "t")):
        return True
    raise MalformedValue(option.wrong(f"{option.value!r} is no switch; write yes or no"))


def as_integer(option: Option) -> int:
    """A number as strtol(3) reads it: `010` is eight.

    Raises:
        MalformedValue: it is none.
    """
    if not _INTEGER.fullmatch(option.value):
        raise MalformedValue(option.wrong(f"{option.value!r} is no number"))
    sign, digits = (-1 if option.value.startswith("-") else 1), option.value.lstrip("+-")
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits.startswith("0") else 10
    return sign * int(digits, base)


def as_kibibytes(option: Option, before: Version | None = None) -> int:
    """A size in KiB, which is what a bare number counts.

    Until Cyrus 3.8 it is a number as strtol(3) reads it, so `010` is eight. From 3.10 on it is a byte
    size (config_parsebytesize): `010` is ten, and `500M` and `2 GiB` are sizes too. A value on which
    only one of them starts is read as that one reads it.

    Args:
        before: as versions before this one read it; as the latest does if it is None.

    Raises:
        MalformedValue: it is no size to any version.
    """
    readings = [_as_byte_size(option), _as_old_size(option)]
    if before and before <= BYTE_SIZES_SINCE:
        readings.reverse()
    size = next((size for size in readings if size is not None), None)
    if size is None:
        raise MalformedValue(
            option.wrong(f"{option.value!r} is no size; write KiB, as in 2097152, or 2G")
        )
    return size


def _as_byte_size(option: Option) -> int | None:
    """A size in KiB as Cyrus 3.10 reads it, or None if it would not start on it."""
    match = _SIZE.fullmatch(option.value)
    if not match:
        return None
    return int(match[1]) * _BYTES[(match[2] or match[3] or "k").lower()] // 1024


def _as_old_size(option: Option) -> int | None:
    return as_integer(option) if _INTEGER.fullmatch(option.value) else None


# The kinds of the options that are not just text.
_KINDS: Mapping[str, Callable[[Option], object]] = {
    **dict.fromkeys(
        (
            "altnamespace",
            "autocreate_post",
            "autocreate_sieve_script_compile",
            "autocreate_subscribe_sharedfolders_all",
            "lmtp_downcase_rcpt",
            "sieveusehomedir",
            "unixhierarchysep",
            "username_tolower",
        ),
        as_switch,
    ),
    "autocreate_quota": as_kibibytes,
    "autocreate_quota_messages": as_integer,
}


class Reading:
    """Options by value, with what is wrong with them put aside until all have been read.

    Args:
        before: read them as versions of Cyrus before this one do; as the latest does if it is None.
    """

    def __init__(self, options: Options, before: Version | None = None) -> None:
        self.options = options
        self.problems = list(options.problems)
        self.notices: list[str] = []
        self._before = before

    def check(self, services: Sequence[str]) -> None:
        """Note every value that cannot be, also where another option overrides it."""
        for option in self.options.every:
            for service in ("", *(f"{service}_" for service in services)):
                name = option.key.removeprefix(service)
                kind = _KINDS.get(_NEW_NAMES.get(name, name))
                if kind and option.key.startswith(service):
                    self._value(kind, option, None)

    def text(self, name: str, default: str, services: Sequence[str] = ()) -> str:
        option = self.options.find(name, services)
        if option is None:
            return default
        home = self.options.find("configdirectory")
        if home and option.value.lower().startswith("{configdirectory}"):
            return home.value + option.value[len("{configdirectory}") :]
        return option.value

    def switch(self, name: str, default: bool, services: Sequence[str] = ()) -> bool:
        return self._value(as_switch, self.options.find(name, services), default)

    def kibibytes(self, name: str, default: int, services: Sequence[str]) -> int:
        def parse(option: Option) -> int:
            return as_kibibytes(option, self._before)

        option = self.options.find(name, services)
        return self._limit(option, self._value(parse, option, default), "0 for no limit")

    def integer(self, name: str, default: int, services: Sequence[str]) -> int:
        option = self.options.find(name, services)
        return self._limit(option, self._value(as_integer, option, default), "none")

    def _limit(self, option: Option | None, value: int, otherwise: str) -> int:
        """A limit that Cyrus can count. 3.6 itself takes a greater one modulo 2**32 (measured)."""
        if option and value > GREATEST_LIMIT:
            natively = (value + 2**31) % 2**32 - 2**31
            self.notice(
                option.wrong(
                    f"{value} is more than Cyrus can count: Cyrus 3.6 makes {natively} of it, and "
                    f"here it is {GREATEST_LIMIT}; write at most that, or {otherwise}"
                )
            )
        return min(value, GREATEST_LIMIT)

    def names(self, name: str, services: Sequence[str]) -> list[str]:
        """A list parted by `|`, without what is empty or there already."""
        parts = (part.strip() for part in self.text(name, "", services).split("|"))
        return list(dict.fromkeys(filter(None, parts)))

    def notice(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)

    def _value(self, parse: Callable[[Option], T], option: Option | None, default: T) -> T:
        try:
            return parse(option) if option else default
        except MalformedValue as error:
            if str(error) not in self.problems:
                self.problems.append(str(error))
            return default
