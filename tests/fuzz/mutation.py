"""Small changes to bytes, where no instrument that follows the code (atheris) can be had."""

from __future__ import annotations

import random
from collections.abc import Sequence

# What parsers trip over: ends, quotes, lengths, numbers, text that is none, and text that folds.
_PIECES = [
    *(b"\0", b"\r\n", b"\n", b" ", b"\t", b"\\", b'"', b"'", b"<", b">", b"(", b")", b"[", b"]"),
    *(b"{", b"}", b"@", b":", b",", b";", b"/", b"|", b"+", b"*", b"%", b"=", b"#", b".", b".."),
    *(b"{4294967296}\r\n", b"{10+}\r\n", b"-1", b"0", b"99999999999999999999", b"1e999", b"NaN"),
    *(b"\x80", b"\xff\xfe", b"\xed\xa0\x80", b"\xc3\x9f", b"\xc4\xb0", b"e\xcc\x81", b"xn--"),
]


def mutated(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """A seed with one to eight changes."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        begin = chance.randint(0, len(made))
        end = min(len(made), begin + chance.choice((0, 0, 1, 1, 2, 4, 16, 64)))
        match chance.randrange(5):
            case 0:
                made[begin:end] = b""
            case 1:
                made[begin:end] = chance.choice(_PIECES)
            case 2:
                made[begin:end] = chance.randbytes(chance.randint(1, 4))
            case 3:
                made[begin:begin] = made[begin:end] * chance.choice((1, 2, 50))
            case _:
                other = chance.choice(others)
                cut = chance.randint(0, len(other))
                made[begin:end] = other[cut : cut + 64]
    return bytes(made[:100_000])
