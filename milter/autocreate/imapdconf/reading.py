"""The values of imapd.conf's options, as Cyrus reads them: switches, numbers, sizes, lists.

The rules are those of lib/libconfig.c (Cyrus 3.6), and for sizes of 3.10 too.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from autocreate.core.sizes import GREATEST_LIMIT
from autocreate.errors import MalformedValue
from autocreate.imapdconf.parser import OLD_NAMES, Option, Options, option_meant
from autocreate.model import Version

T = TypeVar("T")

# strtol(3) with base 0: decimal, octal with a leading 0, hexadecimal with 0x. Python makes no number of
# some thousand digits.
_INTEGER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]{1,99}|0[0-7]{0,99}|[1-9][0-9]{0,99})")

_SIZE = re.compile(r"([+-]?[0-9]{1,100})(?:\s*(?:([kKmMgG])[iI]?[bB]?|([bB])))?")
_BYTES = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
BYTE_SIZES_SINCE: Version = (3, 10)

_NEW_NAMES = {old: new for new, names in OLD_NAMES.items() for old in names}


def as_switch(option: Option) -> bool:
    """A switch: by its first letters, in lower case only (config_parse_switch).

    Raises:
        MalformedValue: it is not one.
    """
    if option.value.startswith(("0", "n", "of", "f")):
        return False
    if option.value.startswith(("1", "y", "on", "t")):
        return True
    raise MalformedValue(option.wrong(f"{option.value!r} is not a switch; write yes or no"))


def as_integer(option: Option) -> int:
    """A number as strtol(3) reads it: `010` is eight.

    Raises:
        MalformedValue: it is not one.
    """
    if not _INTEGER.fullmatch(option.value):
        raise MalformedValue(option.wrong(f"{option.value!r} is not a number"))
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
            option.wrong(f"{option.value!r} is not a size; write KiB, as in 2097152, or 2G")
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


# What they are called in a file.
_NAMES = (*_KINDS, *(old for old, new in _NEW_NAMES.items() if new in _KINDS))


class Reading:
    """Options by value, collecting what is wrong with them until all have been read.

    Args:
        before: read them as versions of Cyrus before this one do; as the latest does if it is None.
    """

    def __init__(self, options: Options, before: Version | None = None) -> None:
        self.options = options
        # Each once, in their order.
        self.problems = dict.fromkeys(options.problems)
        self.notices: dict[str, None] = {}
        self._before = before

    def check(self, services: Sequence[str]) -> None:
        """Note every impossible value, even if another option overrides it."""
        known = frozenset(services)
        for option in self.options.every:
            if name := option_meant(option.key, _NAMES, known):
                self._value(_KINDS[_NEW_NAMES.get(name, name)], option, None)

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
        """A list separated by `|`, without empty and repeated items."""
        parts = (part.strip() for part in self.text(name, "", services).split("|"))
        return list(dict.fromkeys(filter(None, parts)))

    def notice(self, text: str) -> None:
        self.notices[text] = None

    def problem(self, text: str) -> None:
        self.problems[text] = None

    def _value(self, parse: Callable[[Option], T], option: Option | None, default: T) -> T:
        try:
            return parse(option) if option else default
        except MalformedValue as error:
            self.problem(str(error))
            return default
