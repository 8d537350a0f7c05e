"""Sizes as people and databases write them."""

import re

# In KiB, as IMAP counts (RFC 9208).
_UNITS = {"K": 1, "M": 1 << 10, "G": 1 << 20, "T": 1 << 30}


def parse_size(text: str, unit: str = "K") -> int:
    """`2G` or `500M` in KiB.

    Args:
        unit: what a bare number counts: "B", "K", "M", "G" or "T".

    Raises:
        ValueError: it is no size.
    """
    match = re.fullmatch(r"([0-9]+)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if not match:
        raise ValueError('is not a size; write it like "500M" or "2G"')
    number, letter = int(match[1]), match[2].upper() or unit
    return -(-number // 1024) if letter == "B" else number * _UNITS[letter]
