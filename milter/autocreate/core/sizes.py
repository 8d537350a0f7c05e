"""Sizes as people and databases write them."""

import re

from autocreate.errors import MalformedValue
from autocreate.tree.values import UNLIMITED

# In KiB, as IMAP counts (RFC 9208).
_UNITS = {"K": 1, "M": 1 << 10, "G": 1 << 20, "T": 1 << 30}


# Of a quota that Cyrus can take, in KiB or messages: a greater number ends its imapd.
GREATEST_LIMIT = 2**31 - 1


def parse_size(text: str, unit: str = "K") -> int:
    """`2G` or `500M` in KiB.

    Args:
        unit: what a bare number counts: "B", "K", "M", "G" or "T".

    Raises:
        MalformedValue: it is no size, or greater than Cyrus can count.
    """
    match = re.fullmatch(r"([0-9]{1,100})\s*(?:([KMGT])(?:i?B)?)?", text.strip(), re.IGNORECASE)
    if not match:
        raise MalformedValue('is not a size; write it like "500M" or "2G"')
    number, letter = int(match[1]), (match[2] or unit).upper()
    return countable(-(-number // 1024) if letter == "B" else number * _UNITS[letter])


def limit(value: int) -> int:
    """What a policy or an account's entry limits its user to: 0 is no limit, as in `autocreate_quota`."""
    return value or UNLIMITED


def countable(value: int) -> int:
    """A quota that Cyrus can take: a greater one ends its imapd.

    Raises:
        MalformedValue: it is too great.
    """
    if value > GREATEST_LIMIT:
        raise MalformedValue("is more than Cyrus can count, which is 2047G, or 2147483647 messages")
    return value
